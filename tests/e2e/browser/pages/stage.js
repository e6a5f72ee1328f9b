// A participant of a stage with the browser's own interfaces: fetch for WHIP and for subscribing, RTCPeerConnection for
// the media, WebSocket for the events.

"use strict";

// One publication or subscription: the offer, its answer, and the resource that the POST created (RFC 9725).
class StageConnection {
  constructor(url, token) {
    this.url = url;
    this.token = token;
    this.peer = new RTCPeerConnection();
    this.connections = [];
    this.peer.onconnectionstatechange = () => this.connections.push(this.peer.connectionState);
  }

  // The state of the DTLS transport. It is `closed` after the server's close_notify; `connectionState` takes seconds
  // longer.
  get transportState() {
    return this.peer.getTransceivers()[0].sender.transport?.state;
  }

  async open() {
    await this.accept(await this.offer());
  }

  // Sends the offer. Returns the answer.
  async offer() {
    await this.peer.setLocalDescription();
    const response = await this.request("POST", this.url, 201, {
      headers: { "Content-Type": "application/sdp" },
      body: this.peer.localDescription.sdp,
    });
    this.location = new URL(response.headers.get("Location"), response.url).href;
    this.iceSession = response.headers.get("ETag");
    this.link = response.headers.get("Link");
    return response.text();
  }

  async accept(answer) {
    await this.peer.setRemoteDescription({ type: "answer", sdp: answer });
  }

  // Sends the gathered candidates to the server.
  async trickle() {
    await this.patch(204, this.iceSession);
  }

  async restartIce() {
    this.peer.restartIce();
    await this.peer.setLocalDescription();
    const response = await this.patch(200, "*");
    this.iceSession = response.headers.get("ETag");
    await this.accept(withFragment(this.peer.currentRemoteDescription.sdp, await response.text()));
  }

  async close() {
    await this.request("DELETE", this.location, 200);
    this.peer.close();
  }

  // Bytes received on the selected candidate pair; 0 if the pair does not belong to the newest ICE session.
  async bytesOnNewestPath() {
    const report = await this.peer.getStats();
    const transport = [...report.values()].find(({ type }) => type === "transport");
    const pair = report.get(transport.selectedCandidatePairId);
    const local = pair && report.get(pair.localCandidateId);
    const isNewest = !!local && this.peer.localDescription.sdp.includes(`a=ice-ufrag:${local.usernameFragment}\r\n`);
    return isNewest ? pair.bytesReceived : 0;
  }

  patch(expected, iceSession) {
    return this.request("PATCH", this.location, expected, {
      headers: { "Content-Type": "application/trickle-ice-sdpfrag", "If-Match": iceSession },
      body: fragmentOf(this.peer.localDescription.sdp),
    });
  }

  async request(method, url, expected, { headers = {}, body } = {}) {
    const response = await fetch(url, { method, headers: { Authorization: `Bearer ${this.token}`, ...headers }, body });
    if (response.status !== expected) {
      throw new Error(`${response.status} ${(await response.json()).code}`);
    }
    return response;
  }

  // The first statistics object of a type with these members; null if there is none.
  async stats(type, members = {}) {
    const wanted = Object.entries(members);
    for (const entry of (await this.peer.getStats()).values()) {
      if (entry.type === type && wanted.every(([name, value]) => entry[name] === value)) return entry;
    }
    return null;
  }
}

class Publisher extends StageConnection {
  // `camera` and `microphone` are constraints for getUserMedia, or false. `sections` are additional media sections, as
  // [kind, direction]. With `codec`, the offer has no other video codec. `layers` are the encodings of simulcast.
  async prepare({ camera, microphone, sections = [], codec = null, layers = [] }) {
    const stream = await navigator.mediaDevices.getUserMedia({ video: camera, audio: microphone });
    for (const track of stream.getTracks()) {
      const sendEncodings = track.kind === "video" ? layers : [];
      const { sender } = this.peer.addTransceiver(track, { direction: "sendonly", streams: [stream], sendEncodings });
      // On a busy machine, reduce the frame rate and not the resolution.
      await sender.setParameters({ ...sender.getParameters(), degradationPreference: "maintain-resolution" });
    }
    for (const [kind, direction] of sections) {
      this.peer.addTransceiver(kind, { direction });
    }
    if (codec !== null) {
      const codecs = RTCRtpSender.getCapabilities("video").codecs;
      this.transceiver("video").setCodecPreferences(
        codecs.filter(({ mimeType }) => [`video/${codec}`, "video/rtx"].includes(mimeType)),
      );
    }
  }

  transceiver(kind) {
    return this.peer.getTransceivers().find(({ sender }) => sender.track?.kind === kind);
  }

  async setLayerActive(rid, active) {
    const sender = this.transceiver("video").sender;
    const parameters = sender.getParameters();
    parameters.encodings.find((encoding) => encoding.rid === rid).active = active;
    await sender.setParameters(parameters);
  }

  // Stops sending video. The connection stays open.
  async stopVideo() {
    await this.transceiver("video").sender.replaceTrack(null);
  }
}

class Viewer extends StageConnection {
  constructor(url, token, kinds = ["audio", "video"]) {
    super(url, token);
    this.stream = new MediaStream();
    this.peer.ontrack = ({ track }) => this.stream.addTrack(track);
    for (const kind of kinds) {
      this.peer.addTransceiver(kind, { direction: "recvonly" });
    }
  }

  get layersUrl() {
    return this.link.match(/^<([^>]+)>; rel="urn:ietf:params:whep:ext:core:layer"$/)[1];
  }

  async layers() {
    return (await (await this.request("GET", this.layersUrl, 200)).json()).layers;
  }

  // Chooses a layer; null returns to the server's choice.
  async selectLayer(encodingId) {
    await this.request("POST", this.layersUrl, 200, {
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(encodingId === null ? {} : { mediaId: "1", encodingId }),
    });
  }
}

// The participants as the events websocket reports them.
class StageEvents {
  constructor(url, token) {
    this.participants = [];
    this.socket = new WebSocket(url, [token]);
    this.socket.onmessage = ({ data }) => {
      const { type, payload } = JSON.parse(data);
      if (type === "STAGE_STATE") this.participants = payload.participants;
    };
  }

  close() {
    this.socket.close();
  }
}

// The ICE part of a description as an SDP fragment (RFC 8840), for the first section of the bundle.
function fragmentOf(sdp) {
  const [session, first] = sdp.split(/^(?=m=)/m);
  const pick = (text, pattern) => text.match(pattern) ?? [];
  return [
    ...pick(session, /^a=(group:BUNDLE|ice-options:).*\r\n/gm),
    ...pick(first, /^m=.*\r\n/),
    ...pick(first, /^a=(mid|ice-ufrag|ice-pwd|candidate):.*\r\n/gm),
  ].join("");
}

// A description whose credentials and candidates are replaced by those of a fragment.
function withFragment(sdp, fragment) {
  const lines = fragment.match(/^a=(ice-ufrag|ice-pwd|candidate):.*\r\n/gm).join("");
  return sdp.replace(/^a=(ice-ufrag|candidate):.*\r\n/gm, "").replace(/^a=ice-pwd:.*\r\n/gm, lines);
}
