"""What the OpenAPI document says about the testing API as a whole."""

from stagebook.api.routes.openapi_document import ApiDescription

TESTING_PREFIX = "/testing/v1/"


def testing_description(*, version: str) -> ApiDescription:
    """Return the description. `version` is that of the server. Nothing needs credentials: see `testing_access`."""
    return ApiDescription(prefix=TESTING_PREFIX, title="Stagebook testing API", version=version, security_schemes={})
