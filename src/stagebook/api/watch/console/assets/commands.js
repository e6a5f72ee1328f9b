// Commands and code that read the same events as a page. SPDX-License-Identifier: Apache-2.0
// What is copied runs as it is, with the credentials that `stagebook env` prints.

const regionOf = (arn) => arn.split(":")[3];

// A string for a POSIX shell.
export const shellQuote = (text) => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`);

// A string literal of Python: that of JSON, since both escape alike.
const pythonQuote = (text) => JSON.stringify(text);

export function listEventsCommand({ endpointUrl, stageArn, sessionId, participantId }) {
	const options = [
		["--endpoint-url", endpointUrl],
		["--region", regionOf(stageArn)],
		["--stage-arn", stageArn],
		["--session-id", sessionId],
		["--participant-id", participantId],
		["--max-results", "100"],
	];
	const lines = options.map(([name, value]) => `    ${name} ${shellQuote(value)}`);
	return `aws ivs-realtime list-participant-events \\\n${lines.join(" \\\n")}\n`;
}

export function listEventsCode({ endpointUrl, stageArn, sessionId, participantId }) {
	return `import boto3

ivs = boto3.client(
    "ivs-realtime",
    endpoint_url=${pythonQuote(endpointUrl)},
    region_name=${pythonQuote(regionOf(stageArn))},
)
request = {
    "stageArn": ${pythonQuote(stageArn)},
    "sessionId": ${pythonQuote(sessionId)},
    "participantId": ${pythonQuote(participantId)},
}
while True:
    page = ivs.list_participant_events(**request)
    for event in page["events"]:
        print(event["eventTime"].isoformat(), event["name"], event.get("errorCode", ""))
    if "nextToken" not in page:
        break
    request["nextToken"] = page["nextToken"]
`;
}
