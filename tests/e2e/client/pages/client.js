// Puts a participant with the open client into the page, for tests that call these functions.

import { Stage } from "/clients/js/stagebook-client.js";

const EVENTS = {
  participantjoined: ({ participant }) => [participant.id],
  participantleft: ({ participant }) => [participant.id],
  publishstarted: ({ participant }) => [participant.id],
  publishstopped: ({ participant }) => [participant.id],
  metadatachanged: ({ participant }) => [participant.id, participant.userId, participant.attributes],
  mutechanged: ({ participant }) => [
    participant.id,
    ["audioMuted", "videoStopped"].filter((name) => participant[name]),
  ],
  statechange: ({ state }) => [state],
  publicationchange: ({ state, error }) => [state, error?.code ?? null],
  subscriptionchange: ({ participantId, state, error }) => [participantId, state, error?.code ?? null],
  tokenexpiring: () => [],
  disconnected: ({ code, reason }) => [code, reason],
  error: ({ error }) => [error.code],
};

globalThis.uncaught = [];
addEventListener("error", ({ message }) => uncaught.push(message));
addEventListener("unhandledrejection", ({ reason }) => uncaught.push(`${reason?.stack ?? reason}`));

// Every RTCPeerConnection and WebSocket that the page has made.
globalThis.made = [];
for (const name of ["RTCPeerConnection", "WebSocket"]) {
  globalThis[name] = class extends globalThis[name] {
    constructor(...args) {
      super(...args);
      made.push(this);
    }
  };
}

globalThis.seen = [];
globalThis.join = async (token, options) => {
  globalThis.stage = new Stage(token, options);
  for (const [type, details] of Object.entries(EVENTS)) {
    stage.addEventListener(type, (event) => seen.push([type, ...details(event)]));
  }
  await stage.join();
};

// A picture of this size, which changes ten times a second. A camera may deliver another size than the wanted one.
globalThis.picture = (width, height) => {
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const context = canvas.getContext("2d");
  let hue = 0;
  setInterval(() => {
    hue += 10;
    context.fillStyle = `hsl(${hue} 80% 50%)`;
    context.fillRect(0, 0, width, height);
  }, 100);
  return canvas.captureStream(10);
};

globalThis.publish = async ({ video = { width: 640, height: 480, frameRate: 15 }, audio = true, ...options }) => {
  globalThis.local = await navigator.mediaDevices.getUserMedia({ video, audio });
  await stage.publish(local, options);
};

globalThis.videos = new Map();
globalThis.subscribe = async (participantId, options) => {
  const video = Object.assign(document.createElement("video"), { autoplay: true, playsInline: true });
  video.srcObject = await stage.subscribe(participantId, options);
  document.body.append(video);
  videos.set(participantId, video);
};

// What of a publisher was decoded and played: frames, and seconds with a picture.
globalThis.progress = async (participantId) => {
  const tracks = (await stage.stats()).subscriptions.get(participantId) ?? [];
  const { currentTime, videoWidth } = videos.get(participantId);
  return [tracks.find(({ kind }) => kind === "video")?.frames ?? 0, videoWidth && currentTime];
};

// The statistics as plain objects.
globalThis.stats = async () => {
  const { publication, subscriptions } = await stage.stats();
  return { publication, subscriptions: Object.fromEntries(subscriptions) };
};
