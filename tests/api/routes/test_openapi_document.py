"""The OpenAPI document: what it says of a route, and that it is a valid document."""

from datetime import datetime
from typing import Annotated, Any

import jsonschema_rs
import msgspec
from schemathesis.specs.openapi.definitions import OPENAPI_31

from stagebook.api.http_responses import HttpResponse
from stagebook.api.routes.api_route import ApiCall, ApiResponse, ApiRoute, EmptyParameters, Role
from stagebook.api.routes.openapi_document import openapi_document, with_document
from stagebook.api.watch.watch_description import watch_description
from tests.api.watch.access.access_harness import document, holder


class ThingParameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    since: Annotated[str, msgspec.Meta(description="A time.", min_length=1)] | None = None
    name: tuple[str, ...] = ()
    limit: Annotated[int, msgspec.Meta(ge=1, le=1_000)]
    until: Annotated[datetime, msgspec.Meta(tz=True)] | None = None


class NewThing(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    url: str


class Thing(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    thing_id: str


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    text: str


class ThingError(msgspec.Struct, frozen=True, kw_only=True):
    message: str


async def unused(_call: ApiCall) -> ApiResponse:
    raise AssertionError("the document is made without a request")


def route(method: str, template: str, action: str, **members: Any) -> ApiRoute:  # noqa: ANN401 - members of ApiRoute
    return ApiRoute(method=method, template=template, action=action, summary=f"{action}.", handle=unused, **members)


ROUTES = [
    route("GET", "/watch/v1/things", "ListThings", query=ThingParameters, response=Thing),
    route(
        "POST",
        "/watch/v1/things/{kind}",
        "CreateThing",
        role=Role.OPERATOR,
        body=NewThing,
        response=Thing,
        status=201,
        path_values={"kind": ("a", "b")},
        header_parameters={"If-Match": False},
        error=ThingError,
    ),
    route("GET", "/watch/v1/things/stream", "StreamThings", messages=(Thing, Letter), content_type="text/event-stream"),
    route("GET", "/watch/v1/things/file", "ExportThings", content_type="a/b", other_content_types=("c/d",)),
    route("POST", "/watch/v1/anything", "Anything", body=msgspec.Raw, is_public=True),
    route("DELETE", "/watch/v1/things/{kind}", "DeleteThing", role=Role.OPERATOR, status=204),
]
DOCUMENT: Any = msgspec.json.decode(msgspec.json.encode(openapi_document(ROUTES, watch_description(version="1.2.3"))))
PATHS = DOCUMENT["paths"]


def test_the_document_is_valid() -> None:
    jsonschema_rs.validator_for(OPENAPI_31).validate(DOCUMENT)


def test_query_parameters_are_the_members_of_the_struct() -> None:
    parameters = {parameter.pop("name"): parameter for parameter in PATHS["/watch/v1/things"]["get"]["parameters"]}
    assert parameters == {
        "since": {
            "in": "query",
            "required": False,
            "schema": {"type": "string", "minLength": 1},
            "description": "A time.",
        },
        "name": {
            "in": "query",
            "required": False,
            "schema": {"type": "array", "items": {"type": "string"}, "default": []},
            "style": "form",
            "explode": True,
        },
        "until": {
            "in": "query",
            "required": False,
            "schema": {"type": ["string", "number"], "format": "date-time"},
        },
        "limit": {"in": "query", "required": True, "schema": {"type": "integer", "minimum": 1, "maximum": 1_000}},
    }
    assert "ThingParameters" not in DOCUMENT["components"]["schemas"]


def test_path_and_header_parameters_are_described() -> None:
    kind, header = PATHS["/watch/v1/things/{kind}"]["post"]["parameters"]
    assert (kind["in"], kind["required"], kind["schema"]["enum"]) == ("path", True, ["a", "b"])
    assert (header["name"], header["in"], header["required"]) == ("If-Match", "header", False)
    assert "enum" not in PATHS["/watch/v1/things/{kind}"]["delete"]["parameters"][0]["schema"]


def test_bodies_and_responses_are_the_structs_of_the_route() -> None:
    create = PATHS["/watch/v1/things/{kind}"]["post"]
    assert create["requestBody"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/NewThing"}
    assert create["responses"]["201"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Thing"}
    assert DOCUMENT["components"]["schemas"]["Thing"]["required"] == ["thingId"]
    assert "content" not in PATHS["/watch/v1/things/{kind}"]["delete"]["responses"]["204"]
    assert PATHS["/watch/v1/anything"]["post"]["requestBody"]["content"]["application/json"]["schema"] == {
        "type": "object"
    }


def test_a_response_that_is_not_json_is_a_text_of_its_types() -> None:
    content = PATHS["/watch/v1/things/stream"]["get"]["responses"]["200"]["content"]
    messages = [{"$ref": "#/components/schemas/Thing"}, {"$ref": "#/components/schemas/Letter"}]
    assert content == {"text/event-stream": {"schema": {"type": "string", "x-stagebook-messages": {"anyOf": messages}}}}
    assert DOCUMENT["components"]["schemas"]["Letter"]["required"] == ["text"]
    content = PATHS["/watch/v1/things/file"]["get"]["responses"]["200"]["content"]
    assert set(content) == {"a/b", "c/d"}


def test_errors_are_problem_documents_or_the_error_of_the_route() -> None:
    responses = DOCUMENT["components"]["responses"]
    assert PATHS["/watch/v1/things"]["get"]["responses"]["404"] == {"$ref": "#/components/responses/Problem"}
    assert set(responses["Problem"]["content"]) == {"application/problem+json"}
    assert PATHS["/watch/v1/things/{kind}"]["post"]["responses"]["404"]["$ref"].endswith("/ProblemOrThingError")
    assert set(responses["ProblemOrThingError"]["content"]) == {"application/problem+json", "application/json"}


def test_roles_and_public_routes_are_marked() -> None:
    assert PATHS["/watch/v1/things/{kind}"]["post"]["x-stagebook-role"] == "operator"
    assert "security" not in PATHS["/watch/v1/things"]["get"]
    assert PATHS["/watch/v1/anything"]["post"]["security"] == []
    assert DOCUMENT["security"] == [{"bearerKey": []}, {"signature": []}, {"session": []}]


async def test_the_served_document_describes_itself() -> None:
    *others, served = with_document(ROUTES, watch_description(version="1.2.3"))
    assert others == ROUTES
    call = ApiCall(caller=holder(Role.READER), path={}, query=EmptyParameters(), body=None, headers={})
    response = await served.handle(call)
    assert isinstance(response, HttpResponse)
    assert served.is_public
    assert served.template in document(response)["paths"]
