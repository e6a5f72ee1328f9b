"""ListParticipantEvents over the wire: requests that boto3 signed, a server with a large book, and one without work."""
