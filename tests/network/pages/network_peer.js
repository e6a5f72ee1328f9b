// A publisher of a picture that needs a bit rate, and the statistics of a peer connection over time.

"use strict";

const SAMPLE_MILLISECONDS = 100;

globalThis.uncaught = [];
addEventListener("error", ({ message }) => uncaught.push(message));
addEventListener("unhandledrejection", ({ reason }) => uncaught.push(`${reason?.stack ?? reason}`));

// A picture whose bits cannot be saved: in each frame, tiles of noise come to other places. `detail` is the share of the
// picture that changes.
function busyPicture({ width, height, framesPerSecond, detail }) {
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const context = canvas.getContext("2d");
  const tile = 32;
  const noise = Array.from({ length: 16 }, () => noiseTile(tile));
  const places = [];
  for (let x = 0; x < width; x += tile) for (let y = 0; y < height; y += tile) places.push([x, y]);
  let number = 0;
  const draw = () => {
    for (const [x, y] of places) {
      if (number === 0 || Math.random() < detail) context.drawImage(noise[Math.floor(Math.random() * 16)], x, y);
    }
    number += 1;
  };
  draw();
  setInterval(draw, 1000 / framesPerSecond);
  return canvas.captureStream(framesPerSecond).getVideoTracks()[0];
}

function noiseTile(size) {
  const canvas = Object.assign(document.createElement("canvas"), { width: size, height: size });
  const context = canvas.getContext("2d");
  for (let x = 0; x < size; x += 4) {
    for (let y = 0; y < size; y += 4) {
      context.fillStyle = `hsl(${Math.random() * 360} 60% ${30 + Math.random() * 40}%)`;
      context.fillRect(x, y, 4, 4);
    }
  }
  return canvas;
}

// A tone that is loud all the time: concealment of silence would not be counted.
function tone() {
  const audio = new AudioContext();
  const oscillator = new OscillatorNode(audio, { frequency: 440 });
  const destination = new MediaStreamAudioDestinationNode(audio);
  oscillator.connect(destination);
  oscillator.start();
  return destination.stream.getAudioTracks()[0];
}

// Restarts ICE whenever the connection is disconnected, as the open client does. The answers to restarts name the server's
// own UDP port: `port`, the relay's, takes its place.
function keepConnected(connection, port) {
  const accept = connection.accept.bind(connection);
  connection.accept = (sdp) => accept(sdp.replace(/( 1 udp \d+ \S+) \d+ typ host/g, `$1 ${port} typ host`));
  connection.peer.addEventListener("connectionstatechange", () => {
    if (connection.peer.connectionState === "disconnected") connection.restartIce();
  });
}

class NetworkPublisher extends Publisher {
  // `encodings` are those of RTCRtpTransceiverInit.
  async prepare({ picture, encodings, codec }) {
    const audio = tone();
    const video = busyPicture(picture);
    const stream = new MediaStream([audio, video]);
    this.peer.addTransceiver(audio, { direction: "sendonly", streams: [stream] });
    const transceiver = this.peer.addTransceiver(video, {
      direction: "sendonly",
      streams: [stream],
      sendEncodings: encodings,
    });
    const codecs = RTCRtpSender.getCapabilities("video").codecs;
    transceiver.setCodecPreferences(
      codecs.filter(({ mimeType }) => [`video/${codec}`, "video/rtx"].includes(mimeType)),
    );
    const { sender } = transceiver;
    await sender.setParameters({ ...sender.getParameters(), degradationPreference: "maintain-resolution" });
  }
}

// What the wanted members of the statistics were, in each tenth of a second.
class StatisticsLog {
  constructor(peer) {
    this.peer = peer;
    this.samples = [];
    this.started = performance.now();
    this.isBusy = false;
    this.timer = setInterval(() => this.sample(), SAMPLE_MILLISECONDS);
  }

  async sample() {
    if (this.isBusy) return;
    if (this.peer.connectionState === "closed") return clearInterval(this.timer);
    this.isBusy = true;
    const entries = [...(await this.peer.getStats()).values()];
    const sample = { seconds: (performance.now() - this.started) / 1000 };
    for (const entry of entries) {
      if (entry.type === "inbound-rtp") this.note(sample, `${entry.kind}`, entry);
      if (entry.type === "outbound-rtp") this.note(sample, `${entry.kind}${entry.rid ? `.${entry.rid}` : ""}`, entry);
      if (entry.type === "remote-inbound-rtp") {
        const sent = entries.find(({ id }) => id === entry.localId);
        this.note(sample, `reported.${entry.kind}${sent?.rid ? `.${sent.rid}` : ""}`, entry);
      }
      if (entry.type === "candidate-pair" && entry.nominated) this.note(sample, "pair", entry);
    }
    this.samples.push(sample);
    this.isBusy = false;
  }

  note(sample, name, entry) {
    const isValue = ([key, value]) => typeof value === "number" && !["timestamp", "ssrc", "priority"].includes(key);
    sample[name] = Object.fromEntries(Object.entries(entry).filter(isValue));
  }
}
