"""What the OpenAPI document says about the watch API as a whole."""

from stagebook.api.routes.openapi_document import ApiDescription, Json

WATCH_PREFIX = "/watch/v1/"

_SECURITY_SCHEMES: Json = {
    "bearerKey": {"type": "http", "scheme": "bearer", "description": "A key of `stagebook keys create`."},
    "signature": {
        "type": "apiKey",
        "in": "header",
        "name": "Authorization",
        "description": "AWS Signature Version 4 with the service `stagebook` or `ivs`.",
        "x-amazon-apigateway-authtype": "awsSigv4",
    },
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": "__Host-stagebook",
        "description": "The session of the console; without https, the cookie is stagebook_<port>. Requests that change"
        " something need the header field X-Stagebook-Console and an Origin.",
    },
}


def watch_description(*, version: str) -> ApiDescription:
    """Return the description. `version` is that of the server."""
    return ApiDescription(
        prefix=WATCH_PREFIX, title="Stagebook watch API", version=version, security_schemes=_SECURITY_SCHEMES
    )
