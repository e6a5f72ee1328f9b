// The peer connections that the SDK opens in this tab: a test reads the statistics of what they receive.

"use strict";

const peerConnections = [];

window.RTCPeerConnection = class extends RTCPeerConnection {
  constructor(...configuration) {
    super(...configuration);
    peerConnections.push(this);
  }
};

// A value of the statistics of a received track: `framesDecoded`, `totalAudioEnergy`, `bytesReceived`; 0 if there is
// none.
async function receivedOn(track, name) {
  const receivers = peerConnections.flatMap((peer) => peer.getReceivers());
  const receiver = receivers.find((each) => each.track.id === track.id);
  const report = [...((await receiver?.getStats())?.values() ?? [])];
  return report.find(({ type }) => type === "inbound-rtp")?.[name] ?? 0;
}
