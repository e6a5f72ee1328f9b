// Calls operations with the AWS SDK for JavaScript and prints the result of each step as one line of JSON.
import {
  CreateStageCommand,
  GetStageCommand,
  IVSRealTimeClient,
  ListParticipantEventsCommand,
  ListTagsForResourceCommand,
  TagResourceCommand,
  UntagResourceCommand,
  paginateListStages,
} from "@aws-sdk/client-ivs-realtime";

const client = new IVSRealTimeClient({ maxAttempts: 1 });
const print = (step, result) => console.log(JSON.stringify({ step, result }));
const errorName = (command) => client.send(command).then(() => "none", (error) => error.name);

const { stage, participantTokens } = await client.send(
  new CreateStageCommand({ name: "js", tags: { "a b": "c/d" }, participantTokenConfigurations: [{ userId: "ann" }] }),
);
print("create", { name: stage.name, user: participantTokens[0].userId });
print("expires", participantTokens[0].expirationTime instanceof Date);
await client.send(new TagResourceCommand({ resourceArn: stage.arn, tags: { x: "é y" } }));
await client.send(new UntagResourceCommand({ resourceArn: stage.arn, tagKeys: ["a b", "c&d"] }));
print("tags", (await client.send(new ListTagsForResourceCommand({ resourceArn: stage.arn }))).tags);
let pages = 0;
let found = false;
for await (const page of paginateListStages({ client, pageSize: 1 }, {})) {
  pages += 1;
  found ||= page.stages.some((listed) => listed.arn === stage.arn);
}
print("pages", { several: pages > 1, found });
const call = { stageArn: stage.arn, sessionId: "st-a1b2c3d4e5f6g", participantId: "abCDEf12GHIj" };
print("events", (await client.send(new ListParticipantEventsCommand(call))).events);
print("missing", await errorName(new GetStageCommand({ arn: `${stage.arn}x` })));
print("invalid", await errorName(new ListParticipantEventsCommand({ ...call, stageArn: "nothing" })));
