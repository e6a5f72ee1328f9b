// Uses the client as a typed application does. TypeScript must accept it, and the lines marked as errors must be errors.

import { Stage, StageError, type Layer, type Participant, type TrackStats } from "./stagebook-client.js";

export async function use(token: string, media: MediaStream): Promise<Layer[]> {
  const stage = new Stage(token, { rtcConfiguration: { iceTransportPolicy: "all" } });
  stage.addEventListener("publishstarted", async ({ participant }) => {
    const stream: MediaStream = await stage.subscribe(participant.id, { video: false });
    stream.getTracks();
  });
  stage.addEventListener("disconnected", ({ code, reason }) => console.log(code.length, reason.length));
  stage.addEventListener("error", ({ error }) => console.log(error.code, error.status));
  // @ts-expect-error an event that does not exist
  stage.addEventListener("publishstart", () => {});
  // @ts-expect-error a member that the event does not have
  stage.addEventListener("statechange", ({ participant }) => participant);
  await stage.join();
  await stage.publish(media.getVideoTracks(), { simulcast: true, maxBitrate: 1_000_000 });
  stage.setMuted({ audio: true });
  const others: Participant[] = [...stage.participants.values()];
  const { publication, subscriptions } = await stage.stats();
  const tracks: TrackStats[] = [...(publication ?? []), ...[...subscriptions.values()].flat()];
  console.log(tracks[0].bitrate / 1000, stage.publication?.state === "waiting");
  try {
    await stage.exchangeToken(token);
  } catch (error) {
    if (error instanceof StageError && error.code === "CONNECTION_LOST") throw error;
  }
  // @ts-expect-error the kind is missing
  await stage.replaceTrack(null);
  return stage.layers(others[0].id);
}
