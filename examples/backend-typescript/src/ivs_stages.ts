/**
 * What the backend asks of Amazon IVS Real-Time, with the AWS SDK: stages by name, tokens by role, and what participants
 * did.
 *
 * The SDK finds the endpoint, the region and the credentials by itself: AWS_ENDPOINT_URL_IVS_REALTIME, AWS_REGION,
 * AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY. Without an endpoint URL it calls AWS.
 */
import {
  CreateParticipantTokenCommand,
  CreateStageCommand,
  IVSRealTimeClient,
  ListStageSessionsCommand,
  type ParticipantTokenCapability,
  paginateListParticipantEvents,
  paginateListParticipants,
  paginateListStages,
} from "@aws-sdk/client-ivs-realtime";

const TOKEN_MINUTES = 60;

/** What a user may do on a stage, by the user's role. */
const CAPABILITIES = {
  host: ["PUBLISH", "SUBSCRIBE"],
  viewer: ["SUBSCRIBE"],
} satisfies Record<string, ParticipantTokenCapability[]>;

export type Role = keyof typeof CAPABILITIES;

/** There is no such stage. The message says so to the caller. */
export class NotFoundError extends Error {}

/** The stages of an account. Its methods throw NotFoundError, and the errors of the SDK. */
export class Stages {
  readonly #client = new IVSRealTimeClient({
    maxAttempts: 3,
    requestHandler: { connectionTimeout: 5_000, requestTimeout: 10_000 },
  });

  /** Returns the stage with this name, and whether it is new. */
  async create(name: string) {
    const found = await this.#find(name);
    const stage = found ?? (await this.#client.send(new CreateStageCommand({ name }))).stage;
    return { isNew: found === undefined, stage: { name, arn: stage?.arn } };
  }

  /** Returns a participant token with which a user joins a stage. */
  async createToken(name: string, userId: string, role: Role) {
    const { participantToken } = await this.#client.send(
      new CreateParticipantTokenCommand({
        stageArn: (await this.#get(name)).arn,
        userId,
        attributes: { role },
        capabilities: CAPABILITIES[role],
        duration: TOKEN_MINUTES,
      }),
    );
    const { token, participantId, expirationTime } = participantToken ?? {};
    return { token, participantId, userId, role, expirationTime };
  }

  /** Returns who is on a stage now. */
  async participants(name: string) {
    const { arn: stageArn, activeSessionId } = await this.#get(name);
    const sessionId = activeSessionId || null;
    const participants = [];
    if (sessionId !== null) {
      const request = { stageArn, sessionId, filterByState: "CONNECTED" } as const;
      for await (const page of paginateListParticipants({ client: this.#client }, request)) {
        for (const { participantId, userId = "", published = false, firstJoinTime } of page.participants ?? []) {
          participants.push({ participantId, userId, published, firstJoinTime });
        }
      }
    }
    return { sessionId, participants };
  }

  /** Returns all events of a participant in a session, the newest first. Without a session: in the newest one. */
  async events(name: string, participantId: string, session: string | null) {
    const { arn: stageArn } = await this.#get(name);
    const sessionId = session ?? (await this.#newestSession(stageArn));
    const events = [];
    if (sessionId !== null) {
      const request = { stageArn, sessionId, participantId };
      for await (const page of paginateListParticipantEvents({ client: this.#client }, request)) {
        for (const { name, participantId, eventTime, remoteParticipantId, errorCode } of page.events ?? []) {
          events.push({ name, participantId, eventTime, remoteParticipantId, errorCode });
        }
      }
    }
    return { sessionId, events };
  }

  async #newestSession(stageArn: string | undefined) {
    const newest = await this.#client.send(new ListStageSessionsCommand({ stageArn, maxResults: 1 }));
    return newest.stageSessions?.[0]?.sessionId ?? null;
  }

  async #get(name: string) {
    const stage = await this.#find(name);
    if (stage === undefined) throw new NotFoundError(`there is no stage named ${name}`);
    return stage;
  }

  /** Returns the first stage with this name. An application keeps the ARNs of its stages in its database. */
  async #find(name: string) {
    for await (const page of paginateListStages({ client: this.#client, pageSize: 100 }, {})) {
      const found = page.stages?.find((stage) => stage.name === name);
      if (found !== undefined) return found;
    }
    return undefined;
  }
}
