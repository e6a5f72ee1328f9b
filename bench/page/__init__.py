"""ListParticipantEvents over HTTP: requests signed by boto3, a server with a large book, and a static server."""
