// One Stage of the SDK, with a strategy that a test can change, and a record of the stage's events in their order.

"use strict";

// The tab's stages by the names that the test gives them, and the RealTimeConnection that stages can share.
const stages = {};
let sharedConnection = null;

class StageRecorder {
  // `options` are members of the strategy that differ from their defaults; `subscribes` is a type of subscription, or
  // the types by participant. `video` is the configuration of the published video. A stage that `shares` uses the
  // shared connection.
  constructor(token, { video = {}, shares = false, ...options } = {}) {
    this.events = [];
    this.errors = [];
    this.messages = [];
    this.participants = new Map();
    this.video = video;
    this.options = { publishes: false, subscribes: "audio_video", streams: [], ...options };
    const configuration = shares ? [{ connection: sharedConnection }] : [];
    this.stage = new IVSBroadcastClient.Stage(token, this.strategy(), ...configuration);
    for (const name of Object.values(IVSBroadcastClient.StageEvents)) {
      this.stage.on(name, (...details) => this.record(name, details));
    }
  }

  strategy() {
    const { options } = this;
    return {
      stageStreamsToPublish: () => options.streams,
      shouldPublishParticipant: () => options.publishes,
      shouldSubscribeToParticipant: ({ id }) =>
        typeof options.subscribes === "string" ? options.subscribes : (options.subscribes[id] ?? "none"),
      subscribeConfiguration: () => options.subscribeConfiguration ?? {},
      preferredLayerForStream: () => options.layer,
    };
  }

  // Changes members of the strategy.
  change(options) {
    Object.assign(this.options, options);
    this.stage.refreshStrategy();
  }

  // Takes the fake camera and the fake microphone.
  async openDevices(camera) {
    const devices = await navigator.mediaDevices.getUserMedia({ video: camera, audio: true });
    this.options.streams = devices.getTracks().map((track) => this.localStream(track));
  }

  localStream(track) {
    const configuration = track.kind === "video" ? [this.video] : [];
    return new IVSBroadcastClient.LocalStageStream(track, ...configuration);
  }

  local(kind) {
    return this.options.streams.find(({ mediaStreamTrack }) => mediaStreamTrack.kind === kind);
  }

  // Publishes another picture, of 320 x 180 pixels, in place of the camera's.
  replaceCamera() {
    const picture = movingPicture(320, 180);
    const others = this.options.streams.filter((stream) => stream !== this.local("video"));
    this.change({ streams: [...others, this.localStream(picture)] });
  }

  // Whether these events are among the recorded ones, in this order. Each is given as its name and its first details.
  hasRecorded(expected) {
    let count = 0;
    for (const event of this.events) {
      if (count === expected.length) break;
      if (expected[count].every((value, index) => JSON.stringify(value) === JSON.stringify(event[index]))) count += 1;
    }
    return count === expected.length;
  }

  record(name, details) {
    const [first, second] = details;
    const known = IVSBroadcastClient.StageEvents;
    this.events.push([name, ...details.map(summary)]);
    if (name === known.ERROR) this.errors.push(summary(first));
    if (first?.id && !first.isLocal) this.participants.set(first.id, { ...this.participants.get(first.id), info: first });
    if (name === known.STAGE_PARTICIPANT_STREAMS_ADDED && !first.isLocal) this.show(first.id, second);
    if (name === known.STAGE_STREAM_SEI_MESSAGE_RECEIVED) this.messages.push(new TextDecoder().decode(second.payload));
  }

  // Shows the streams of a remote participant, each by an element of its own.
  show(id, streams) {
    const participant = this.participants.get(id);
    for (const stream of streams) {
      const { kind } = stream.mediaStreamTrack;
      const element = document.createElement(kind);
      Object.assign(element, { autoplay: true, playsInline: true });
      document.body.append(element);
      const media = new MediaStream([stream.mediaStreamTrack]);
      element.srcObject = media;
      participant[kind] = { stream, observer: kind === "video" ? new FrameObserver(element, media) : null };
    }
  }

  stream(id, kind) {
    return this.participants.get(id)?.[kind]?.stream;
  }

  // The sizes of a participant's layers by their labels.
  sizes(id) {
    return Object.fromEntries(this.stream(id, "video").getLayers().map(({ label, width, height }) => [label, [width, height]]));
  }

  observer(id) {
    return this.participants.get(id)?.video?.observer;
  }

  // A value of the statistics of a received stream, such as `framesDecoded`; 0 before its first packet.
  async received(id, kind, name) {
    const stream = this.stream(id, kind);
    return stream ? await receivedOn(stream.mediaStreamTrack, name) : 0;
  }
}

// A detail of an event as JSON: a participant as its id, streams as their types, an error as its code.
function summary(detail) {
  if (Array.isArray(detail)) return detail.map(summary).sort();
  return detail?.streamType ?? detail?.id ?? detail?.code ?? detail?.label ?? (typeof detail === "object" ? null : detail);
}

function movingPicture(width, height) {
  const canvas = document.createElement("canvas");
  Object.assign(canvas, { width, height });
  const context = canvas.getContext("2d");
  const draw = (number) => {
    context.fillStyle = `hsl(${number * 7} 90% 50%)`;
    context.fillRect((number * 5) % width, 0, 50, height);
    setTimeout(draw, 66, number + 1);
  };
  draw(1);
  return canvas.captureStream(15).getVideoTracks()[0];
}
