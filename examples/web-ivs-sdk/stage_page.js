// Joins a stage with Amazon's Web Broadcast SDK: gets a token from the backend, publishes the camera, shows the others,
// and lists the participant's events.

const { LocalStageStream, Stage, StageEvents, StreamType, SubscribeType } = window.IVSBroadcastClient;

const element = (id) => document.getElementById(id);
const form = element("form");

let stage = null; // the SDK's object while the page is on a stage
let streams = []; // what the page publishes
let eventsUrl = ""; // where the backend lists the events of this participant

async function callBackend(url, body) {
  const request = body && { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
  const response = await fetch(url, request);
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error);
  return answer;
}

async function join() {
  const { backend, stage: name, userId, role } = Object.fromEntries(new FormData(form));
  await callBackend(`${backend}/stages`, { name });
  const { token, participantId } = await callBackend(`${backend}/stages/${encodeURIComponent(name)}/tokens`, { userId, role });
  eventsUrl = `${backend}/stages/${encodeURIComponent(name)}/participants/${participantId}/events`;
  if (role === "host") {
    const devices = await navigator.mediaDevices.getUserMedia({ audio: true, video: { width: 640, height: 360 } });
    streams = devices.getTracks().map((track) => new LocalStageStream(track));
  }
  stage = new Stage(token, {
    stageStreamsToPublish: () => streams,
    shouldPublishParticipant: () => role === "host",
    shouldSubscribeToParticipant: () => SubscribeType.AUDIO_VIDEO,
  });
  listen(stage);
  await stage.join();
}

function leave() {
  stage.leave();
  for (const { mediaStreamTrack } of streams) mediaStreamTrack.stop();
  streams = [];
  element("participants").replaceChildren();
}

function listen(stage) {
  stage.on(StageEvents.STAGE_CONNECTION_STATE_CHANGED, (state) => {
    element("state").textContent = state;
    element("join").disabled = state === "connected" || state === "connecting";
    element("leave").disabled = !element("join").disabled;
    element("read").disabled = false;
    log(state);
  });
  stage.on(StageEvents.STAGE_PARTICIPANT_JOINED, (participant) => log(`${participant.userId} joined`));
  stage.on(StageEvents.STAGE_PARTICIPANT_LEFT, (participant) => {
    log(`${participant.userId} left`);
    document.querySelector(`#participants > [data-id="${participant.id}"]`)?.remove();
  });
  stage.on(StageEvents.STAGE_PARTICIPANT_STREAMS_ADDED, show);
  stage.on(StageEvents.STAGE_PARTICIPANT_STREAMS_REMOVED, (participant, removed) => {
    for (const { id } of removed) document.querySelector(`#participants [data-stream="${id}"]`)?.remove();
  });
  stage.on(StageEvents.ERROR, (error) => log(`error ${error.code}: ${error.message}`));
}

// Shows the streams of a participant, each by an element of its own: see "What differs" in docs/front-end.md.
function show(participant, added) {
  let figure = document.querySelector(`#participants > [data-id="${participant.id}"]`);
  if (figure === null) {
    figure = document.createElement("figure");
    figure.dataset.id = participant.id;
    figure.append(Object.assign(document.createElement("figcaption"), { textContent: participant.userId }));
    element("participants").append(figure);
  }
  for (const { id, mediaStreamTrack, streamType } of added) {
    if (participant.isLocal && streamType === StreamType.AUDIO) continue; // nobody wants to hear oneself
    const player = document.createElement(streamType === StreamType.VIDEO ? "video" : "audio");
    Object.assign(player, { autoplay: true, playsInline: true, width: 320, srcObject: new MediaStream([mediaStreamTrack]) });
    player.dataset.stream = id;
    figure.append(player);
  }
}

function log(text) {
  element("log").append(Object.assign(document.createElement("li"), { textContent: text }));
}

async function readEvents() {
  const { events } = await callBackend(eventsUrl);
  const lines = events.map(({ name, eventTime, remoteParticipantId = "", errorCode = "" }) =>
    Object.assign(document.createElement("li"), { textContent: `${eventTime} ${name} ${remoteParticipantId}${errorCode}`.trim() }),
  );
  element("events").replaceChildren(...lines);
}

const report = (error) => log(`error: ${error.message}`);

form.onsubmit = (event) => {
  event.preventDefault();
  element("join").disabled = true;
  join().catch((error) => {
    element("join").disabled = false;
    report(error);
  });
};
element("leave").onclick = leave;
element("read").onclick = () => readEvents().catch(report);
