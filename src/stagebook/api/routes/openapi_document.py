"""GET .../openapi.json: the OpenAPI 3.1 document of an API that is made of routes.

It is made from the routes: their templates, their query parameters and bodies as msgspec structs, and their responses.
The API validates with the same structs, so the document cannot say other rules than the ones that are enforced.
Anybody may read it, since it holds nothing of the server but its version.
Source: the OpenAPI Specification 3.1.1.
"""

import asyncio
import re
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any, TypeAlias

import msgspec

from stagebook.api.http_responses import HttpResponse
from stagebook.api.routes.api_problems import ApiProblem
from stagebook.api.routes.api_route import ApiCall, ApiResponse, ApiRoute

Json: TypeAlias = dict[str, Any]

DOCUMENT_NAME = "openapi.json"
ERROR_STATUSES = (400, 401, 402, 403, 404, 405, 408, 409, 413, 415, 429, 500, 503)
"""Every status of a problem document. Any route may have each."""

_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_REFERENCE = "#/components/schemas/{name}"
_JSON_TYPE = "application/json"


class ApiDescription(msgspec.Struct, frozen=True, kw_only=True):
    """What the document says about the API as a whole. `prefix` begins the paths of all routes.

    `version` is that of the server. `security_schemes` are the objects that OpenAPI calls so, by name.
    """

    prefix: str
    title: str
    version: str
    security_schemes: Mapping[str, Json]


def with_document(routes: Iterable[ApiRoute], description: ApiDescription) -> list[ApiRoute]:
    """Return the routes and the route of the document that describes all of them.

    The document is made for its first reader, on a thread: it takes milliseconds, for which no start waits.
    """
    made: list[bytes] = []

    async def show(_call: ApiCall) -> ApiResponse:
        if not made:
            made.append(await asyncio.to_thread(_encoded, all_routes, description))
        return HttpResponse(status=200, headers=((b"content-type", _JSON_TYPE.encode()),), body=made[0])

    route = ApiRoute(
        method="GET",
        template=f"{description.prefix}{DOCUMENT_NAME}",
        action="GetOpenApiDocument",
        summary="This document",
        handle=show,
        is_public=True,
        response=OpenApiDocument,
    )
    all_routes = [*routes, route]
    return all_routes


def _encoded(routes: Iterable[ApiRoute], description: ApiDescription) -> bytes:
    return msgspec.json.encode(openapi_document(routes, description))


class OpenApiDocument(msgspec.Struct, frozen=True, kw_only=True):
    """The members of the document. Its JSON Schema is published by the OpenAPI Initiative."""

    openapi: str
    info: Json
    servers: list[Json]
    security: list[Json]
    paths: dict[str, Json]
    components: Json


def openapi_document(routes: Iterable[ApiRoute], description: ApiDescription) -> OpenApiDocument:
    """Return the document of these routes."""
    routes = list(routes)
    schemas = _Schemas(routes)
    paths: dict[str, Json] = {}
    for route in routes:
        paths.setdefault(route.template, {})[route.method.lower()] = _operation(route, schemas)
    return OpenApiDocument(
        openapi="3.1.1",
        info={"title": description.title, "version": description.version},
        servers=[{"url": "/"}],
        security=[{name: []} for name in description.security_schemes],
        paths=paths,
        components={
            "schemas": schemas.components,
            "responses": _error_responses(routes, schemas),
            "securitySchemes": dict(description.security_schemes),
        },
    )


class _Schemas:
    """The JSON Schemas of the structs of all routes."""

    def __init__(self, routes: Iterable[ApiRoute]) -> None:
        kinds = [
            kind
            for route in routes
            for kind in (route.query, route.body, route.response, route.error, *route.messages)
            if kind is not None and kind is not msgspec.Raw
        ]
        kinds = list(dict.fromkeys([*kinds, ApiProblem]))
        references, components = msgspec.json.schema_components(kinds, ref_template=_REFERENCE)
        self._references = dict(zip(kinds, references, strict=True))
        queries = {self._name(route.query) for route in routes}
        self._components = components
        used = {
            self._name(kind)
            for route in routes
            for kind in (route.body, route.response, *route.messages)
            if kind in self._references
        }
        self.components = {name: schema for name, schema in components.items() if name not in queries - used}

    def reference(self, kind: Any) -> Json:  # noqa: ANN401 - a type
        """Return the schema of a struct, or that of any JSON object."""
        return {"type": "object"} if kind is msgspec.Raw else dict(self._references[kind])

    def members(self, kind: type[msgspec.Struct]) -> tuple[Mapping[str, Json], frozenset[str]]:
        """Return the schemas of the members of a struct, and the names of those that are required."""
        schema = self._components[self._name(kind)]
        return schema["properties"], frozenset(schema.get("required", ()))

    def _name(self, kind: Any) -> str:  # noqa: ANN401 - a type
        return str(self._references[kind]["$ref"]).rpartition("/")[2]


def _operation(route: ApiRoute, schemas: _Schemas) -> Json:
    operation: Json = {
        "operationId": route.action,
        "summary": route.summary,
        "parameters": [*_path_parameters(route), *_header_parameters(route), *_query_parameters(route, schemas)],
        "responses": _responses(route, schemas),
        "x-stagebook-role": None if route.is_public else route.role.value,
    }
    if route.is_public:
        operation["security"] = []
    if route.body is not None:
        operation["requestBody"] = {
            "required": not route.is_body_optional,
            "content": {_JSON_TYPE: {"schema": schemas.reference(route.body)}},
        }
    return operation


def _path_parameters(route: ApiRoute) -> Iterable[Json]:
    for name in _PLACEHOLDER.findall(route.template):
        schema: Json = {"type": "string", "minLength": 1}
        if name in route.path_values:
            schema["enum"] = list(route.path_values[name])
        yield {"name": name, "in": "path", "required": True, "schema": schema}


def _header_parameters(route: ApiRoute) -> Iterable[Json]:
    for name, is_required in route.header_parameters.items():
        yield {"name": name, "in": "header", "required": is_required, "schema": {"type": "string"}}


def _query_parameters(route: ApiRoute, schemas: _Schemas) -> Iterable[Json]:
    members, required = schemas.members(route.query)
    for name, member in members.items():
        schema = _without_null(member)
        description = schema.pop("description", None)
        if schema.get("format") == "date-time":
            # The conversion of texts takes a number of seconds since the epoch as well.
            schema["type"] = ["string", "number"]
        parameter = {"name": name, "in": "query", "required": name in required, "schema": schema}
        if description is not None:
            parameter["description"] = description
        if schema.get("type") == "array":
            parameter |= {"style": "form", "explode": True}
        yield parameter


def _without_null(schema: Json) -> Json:
    """Return the schema of a parameter that may be absent. Absent is what None is in the struct."""
    rest = {name: value for name, value in schema.items() if name != "anyOf" and (name, value) != ("default", None)}
    kinds = [kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}]
    if len(kinds) == 1:
        return {**rest, **kinds[0]}
    return {**rest, "anyOf": kinds} if kinds else rest


def _responses(route: ApiRoute, schemas: _Schemas) -> Json:
    success: Json = {"description": HTTPStatus(route.status).phrase}
    if route.content_type != _JSON_TYPE:
        types = (route.content_type, *route.other_content_types)
        success["content"] = {name: {"schema": {"type": "string"} | _messages(route, schemas)} for name in types}
    elif route.response is not None:
        success["content"] = {route.content_type: {"schema": schemas.reference(route.response)}}
    elif route.body is msgspec.Raw:
        success["content"] = {_JSON_TYPE: {"schema": {"type": "object"}}}
    error = "Problem" if route.error is None else _error_name(route.error)
    problems = {str(status): {"$ref": f"#/components/responses/{error}"} for status in ERROR_STATUSES}
    return {str(route.status): success, **problems}


def _messages(route: ApiRoute, schemas: _Schemas) -> Json:
    """Return what the messages of a stream have. OpenAPI 3.1 has no member for it, so its name begins with `x-`."""
    if not route.messages:
        return {}
    return {"x-stagebook-messages": {"anyOf": [schemas.reference(kind) for kind in route.messages]}}


def _error_responses(routes: Iterable[ApiRoute], schemas: _Schemas) -> Json:
    """Return the responses to errors, which the routes share."""
    problem: Json = {"application/problem+json": {"schema": schemas.reference(ApiProblem)}}
    responses: Json = {"Problem": {"description": "A problem document (RFC 9457)", "content": problem}}
    for kind in dict.fromkeys(route.error for route in routes):
        if kind is not None:
            content = {**problem, _JSON_TYPE: {"schema": schemas.reference(kind)}}
            responses[_error_name(kind)] = {"description": "A problem document, or another error", "content": content}
    return responses


def _error_name(kind: type[msgspec.Struct]) -> str:
    return f"ProblemOr{kind.__name__}"
