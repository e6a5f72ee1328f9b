/**
 * The HTTP service of ../../README.md, on the HTTP server of Node.js: `PORT=8001 npm start`.
 *
 * It listens on 127.0.0.1. It does not know who calls: an application signs its users in first, and takes the userId
 * and the role from there, not from the request.
 */
import { type IncomingMessage, type ServerResponse, createServer } from "node:http";
import type { AddressInfo } from "node:net";

import { IVSRealTimeServiceException } from "@aws-sdk/client-ivs-realtime";

import { NotFoundError, type Role, Stages } from "./ivs_stages.js";

const MAX_BODY_BYTES = 16_384;
const TIMEOUT_MS = 10_000;
const ALLOWED_ORIGIN = process.env["ALLOWED_ORIGIN"] ?? "http://127.0.0.1:8000";

/** A name for the error, a pattern, and what the pattern permits. */
type Rule = readonly [name: string, pattern: RegExp, text: string];
const STAGE_NAME: Rule = ["the name of a stage", /^[A-Za-z0-9_-]{1,128}$/, "1 to 128 letters, digits, _ or -"];
const USER_ID: Rule = ["userId", /^[A-Za-z0-9_.@-]{1,128}$/, "1 to 128 letters, digits, _ . @ or -"];
const ROLE: Rule = ["role", /^(host|viewer)$/, "host or viewer"];
const PARTICIPANT_ID: Rule = ["the id of a participant", /^[A-Za-z0-9-]{1,64}$/, "1 to 64 letters, digits or -"];
const SESSION_ID: Rule = ["sessionId", /^st-[A-Za-z0-9]{1,61}$/, "st- and 1 to 61 letters or digits"];

type Answer = { status: number; body?: unknown };
type Body = Record<string, unknown>;
type Route = { method: "GET" | "POST"; pattern: RegExp; handle: (call: Call) => Promise<Answer> };
type Call = { segments: string[]; query: URLSearchParams; body: Body };

const stages = new Stages();

/** A request that the service does not carry out. */
class RefusedError extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

/** Returns a value that follows its rule. Throws RefusedError. */
function checked([name, pattern, text]: Rule, value: unknown): string {
  if (typeof value !== "string" || !pattern.test(value)) throw new RefusedError(400, `${name} must be ${text}`);
  return value;
}

async function createStage({ body }: Call): Promise<Answer> {
  const { isNew, stage } = await stages.create(checked(STAGE_NAME, body["name"]));
  return { status: isNew ? 201 : 200, body: stage };
}

async function createToken({ segments, body }: Call): Promise<Answer> {
  const name = checked(STAGE_NAME, segments[0]);
  const userId = checked(USER_ID, body["userId"]);
  const role = checked(ROLE, body["role"]) as Role;
  return { status: 201, body: await stages.createToken(name, userId, role) };
}

async function listParticipants({ segments }: Call): Promise<Answer> {
  return { status: 200, body: await stages.participants(checked(STAGE_NAME, segments[0])) };
}

async function listEvents({ segments, query }: Call): Promise<Answer> {
  const name = checked(STAGE_NAME, segments[0]);
  const participantId = checked(PARTICIPANT_ID, segments[1]);
  const session = query.get("sessionId");
  const sessionId = session === null ? null : checked(SESSION_ID, session);
  return { status: 200, body: await stages.events(name, participantId, sessionId) };
}

const ROUTES: Route[] = [
  { method: "POST", pattern: /^\/stages$/, handle: createStage },
  { method: "POST", pattern: /^\/stages\/([^/]+)\/tokens$/, handle: createToken },
  { method: "GET", pattern: /^\/stages\/([^/]+)\/participants$/, handle: listParticipants },
  { method: "GET", pattern: /^\/stages\/([^/]+)\/participants\/([^/]+)\/events$/, handle: listEvents },
];

async function callRoute(request: IncomingMessage): Promise<Answer> {
  if (request.method === "OPTIONS") return { status: 204 };
  const [path = "", query] = (request.url ?? "").split("?");
  const content = request.method === "POST" ? await readContent(request) : "";
  for (const { method, pattern, handle } of ROUTES) {
    const match = pattern.exec(path);
    if (match === null) continue;
    if (method !== request.method) throw new RefusedError(405, `the method must be ${method}`);
    const body = method === "POST" ? readJson(request, content) : {};
    return await handle({ segments: match.slice(1).map(unquoted), query: new URLSearchParams(query), body });
  }
  throw new RefusedError(404, "there is no such route");
}

/** Returns a decoded segment of a path, or a malformed one as it is: the rules of names refuse it. */
function unquoted(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}

async function readContent(request: IncomingMessage): Promise<string> {
  const length = request.headers["content-length"];
  if (length === undefined) throw new RefusedError(411, "Content-Length is missing");
  if (Number(length) > MAX_BODY_BYTES) throw new RefusedError(413, `the body may have ${MAX_BODY_BYTES} bytes`);
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of request) chunks.push(chunk);
  } catch {
    throw new RefusedError(400, "the body is incomplete");
  }
  return Buffer.concat(chunks).toString();
}

function readJson(request: IncomingMessage, content: string): Body {
  // A page of another origin can send JSON only after the browser has asked this server: see ALLOWED_ORIGIN.
  if (request.headers["content-type"]?.split(";")[0]?.trim() !== "application/json") {
    throw new RefusedError(415, "Content-Type must be application/json");
  }
  let body: unknown;
  try {
    body = JSON.parse(content);
  } catch {
    body = null;
  }
  if (typeof body !== "object" || body === null || Array.isArray(body)) {
    throw new RefusedError(400, "the body must be a JSON object");
  }
  return body as Body;
}

function refusal(error: unknown): Answer {
  if (error instanceof RefusedError) return { status: error.status, body: { error: error.message } };
  if (error instanceof NotFoundError) return { status: 404, body: { error: error.message } };
  if (error instanceof IVSRealTimeServiceException) return { status: 502, body: { error: `IVS refused: ${error.name}` } };
  console.error("IVS cannot be called:", error);
  return { status: 502, body: { error: "IVS cannot be called" } };
}

function send(response: ServerResponse, { status, body }: Answer): void {
  response.writeHead(status, {
    "Access-Control-Allow-Origin": ALLOWED_ORIGIN,
    "Access-Control-Allow-Headers": "Content-Type",
    ...(body === undefined ? {} : { "Content-Type": "application/json" }),
    ...(status === 413 ? { Connection: "close" } : {}), // the body was not read
  });
  response.end(body === undefined ? undefined : JSON.stringify(body));
}

const timeouts = {
  requestTimeout: TIMEOUT_MS,
  headersTimeout: TIMEOUT_MS,
  keepAliveTimeout: TIMEOUT_MS,
  connectionsCheckingInterval: TIMEOUT_MS / 4,
};
const server = createServer(timeouts, (request, response) => {
  void callRoute(request)
    .catch(refusal)
    .then((answer) => send(response, answer));
});
server.listen(Number(process.env["PORT"] ?? "8001"), "127.0.0.1", () => {
  console.log(`listening on http://127.0.0.1:${(server.address() as AddressInfo).port}`);
});
