// On a busy machine packets are late, which looks like a slow network: the browser would then lower its picture, and stop
// its larger simulcast layers. Answers get the parameters with which Chromium's estimate stays above the need of a test.

"use strict";

const STEADY = "x-google-min-bitrate=2500;x-google-start-bitrate=2500"; // kbit/s

const { setRemoteDescription } = RTCPeerConnection.prototype;

RTCPeerConnection.prototype.setRemoteDescription = function ({ type, sdp }) {
  const steady = sdp.replace(/^a=rtpmap:(\d+) (?:H264|VP8)\/90000\r\n/gim, `$&a=fmtp:$1 ${STEADY}\r\n`);
  return setRemoteDescription.call(this, { type, sdp: steady });
};
