// A test of code that uses IVS Real-Time, with node:test: no AWS account, no media, and no waiting.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import {
  CreateParticipantTokenCommand, CreateStageCommand, ListStagesCommand, ListStageSessionsCommand,
} from "@aws-sdk/client-ivs-realtime";
import { CallRefusedError, StagebookServer } from "./stagebook_server.js";

let server: StagebookServer;

before(async () => { server = await StagebookServer.start(); });
after(async () => { await server.stop(); });

test("a guest joins, publishes and loses the network", async () => {
  const ivs = await server.client();
  const { stage } = await ivs.send(new CreateStageCommand({ name: "show" }));
  const ann = await server.participant(stage!.arn!, { userId: "ann" });
  const bob = await server.participant(stage!.arn!, { userId: "bob" });
  assert.deepEqual((await ann.act("publish")).map((event) => event.name), ["JOINED", "PUBLISH_STARTED"]);
  await bob.act("join");
  const watched = await bob.act("subscribe", { to: ann.participantId });
  assert.deepEqual(watched.map((event) => event.name), ["SUBSCRIBE_STARTED"]);
  const failed = await ann.act("fail-publish", { errorCode: "BITRATE_EXCEEDED" });
  assert.equal(failed.find((event) => event.name === "PUBLISH_ERROR")?.errorCode, "BITRATE_EXCEEDED");
  assert.equal((await bob.act("lose-connection")).at(-1)?.name, "LEFT");
  const { stageSessions } = await ivs.send(new ListStageSessionsCommand({ stageArn: stage!.arn! }));
  assert.equal(stageSessions?.length, 1);
});

test("a token expires after its duration", async () => {
  const ivs = await server.client();
  const { stage } = await ivs.send(new CreateStageCommand({ name: "show" }));
  const { participantToken } = await ivs.send(new CreateParticipantTokenCommand({ stageArn: stage!.arn!, duration: 60 }));
  const late = await server.participant({ token: participantToken!.token! });
  await server.advanceClock(61 * 60);
  await assert.rejects(late.act("join"), CallRefusedError);
});

test("the SDK tries again when a call is throttled, and accounts are separate", async () => {
  const ivs = await server.client();
  await ivs.send(new CreateStageCommand({ name: "show" }));
  await server.fault("ListStages", "THROTTLING");
  assert.equal((await ivs.send(new ListStagesCommand({}))).stages?.length, 1);
  const other = await server.client();
  assert.deepEqual((await other.send(new ListStagesCommand({}))).stages, []);
});
