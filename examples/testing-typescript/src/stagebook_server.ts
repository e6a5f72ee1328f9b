// A Stagebook server for tests, in the manner of Testcontainers. Copy this file into your tests.
//
//     const server = await StagebookServer.start();
//     const ivs = await server.client();               // a client with a new account
//     const ann = await server.participant(stageArn, { userId: "ann" });
//     await ann.act("publish");
//     await server.advanceClock(3600);
//     await server.stop();
//
// The server is `stagebook serve --testing`, started by the command `stagebook` (pip install stagebook). It ends with this
// process, also when that is killed, because its standard input ends then. It deletes its data when it ends.

import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { IVSRealTimeClient } from "@aws-sdk/client-ivs-realtime";

const FREE_PORTS = ["--listen", "--rtmp-listen", "--rtmps-listen"].flatMap((flag) => [flag, "127.0.0.1:0"]);

export interface StageEvent {
  name: string;
  participantId: string;
  eventTime: string;
  errorCode?: string;
}

export interface Account {
  accountId: string;
  accessKeyId: string;
  secretAccessKey: string;
}

export type Action =
  | "join" | "publish" | "unpublish" | "subscribe" | "unsubscribe" | "mute" | "exchange-token" | "leave" | "lose-connection"
  | "fail-join" | "fail-publish" | "fail-subscribe";

/** A call of the testing API was refused. The message says why. */
export class CallRefusedError extends Error {}

export class StagebookServer {
  private constructor(private readonly process: ChildProcess, readonly url: string, readonly region: string) {}

  /** Start a server and wait until it is ready. */
  static async start(): Promise<StagebookServer> {
    const options = ["--testing", "--temporary", "--until-stdin-ends", ...FREE_PORTS];
    const child = spawn("stagebook", ["serve", ...options], { stdio: ["pipe", "pipe", "ignore"] });
    await Promise.race([once(child, "spawn"), once(child, "error").then(([error]) => Promise.reject(error))]);
    const lines = createInterface({ input: child.stdout });
    for await (const line of lines) {
      const url = / is listening on (\S+)$/.exec(line)?.[1];
      if (url === undefined) continue;
      child.stdout.resume();
      const described = await call(`${url}/testing/v1/server`) as { region: string };
      return new StagebookServer(child, url, described.region);
    }
    throw new Error("the server did not start: run `stagebook serve --testing` to see why");
  }

  /** Stop the server and wait until it has ended. */
  async stop(): Promise<void> {
    const ended = this.process.exitCode === null ? once(this.process, "exit") : undefined;
    this.process.stdin?.end();
    await ended;
  }

  /** Make a new account, which sees nothing of others. */
  async newAccount(): Promise<Account> {
    return await this.post("accounts") as Account;
  }

  /** Return a client with an account, by default a new one. */
  async client(account?: Account): Promise<IVSRealTimeClient> {
    return new IVSRealTimeClient({ endpoint: this.url, region: this.region, credentials: account ?? await this.newAccount() });
  }

  /** Make a participant without media: of a stage, or with a token of the application. */
  async participant(stage: string | { token: string }, members: { userId?: string } = {}): Promise<Participant> {
    const body = typeof stage === "string" ? { stageArn: stage, ...members } : stage;
    const made = await this.post("participants", body) as { id: string; participantId: string };
    return new Participant(this, made.id, made.participantId);
  }

  /** Move the clock of the server; all that is due on the way has happened when this returns. */
  async advanceClock(seconds: number): Promise<Date> {
    const { now } = await this.post("clock/advance", { seconds }) as { now: string };
    return new Date(now);
  }

  /** Let the next calls of an operation fail. */
  async fault(operation: string, kind: string, times = 1): Promise<void> {
    await this.post("faults", { operation, kind, times });
  }

  /** Call the testing API. */
  async post(path: string, body: object = {}): Promise<unknown> {
    return call(`${this.url}/testing/v1/${path}`, body);
  }
}

export class Participant {
  constructor(private readonly server: StagebookServer, private readonly id: string, readonly participantId: string) {}

  /** Do something, and return the events that it made, when they are durable. */
  async act(action: Action, body: object = {}): Promise<StageEvent[]> {
    const answer = await this.server.post(`participants/${this.id}/${action}`, body) as { events: StageEvent[] };
    return answer.events;
  }
}

async function call(url: string, body?: object): Promise<unknown> {
  const request = body && { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
  const response = await fetch(url, request);
  const answer = await response.json() as { detail?: string };
  if (!response.ok) throw new CallRefusedError(answer.detail);
  return answer;
}
