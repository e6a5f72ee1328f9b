"""GET /watch/v1/openapi.json: the OpenAPI 3.1 document of the watch API.

It is made from the routes: their templates, their query parameters and bodies as msgspec structs, and their responses.
The API validates with the same structs, so the document cannot say other rules than the ones that are enforced.
Anybody may read it, since it holds nothing of the server but its version.
Source: the OpenAPI Specification 3.1.1.
"""

import re
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any, TypeAlias

import msgspec

from stagebook.api.http_responses import HttpResponse
from stagebook.api.watch.watch_problems import WatchProblem
from stagebook.api.watch.watch_route import WatchCall, WatchResponse, WatchRoute

Json: TypeAlias = dict[str, Any]

OPENAPI_PATH = "/watch/v1/openapi.json"
ERROR_STATUSES = (400, 401, 402, 403, 404, 405, 408, 409, 413, 415, 429, 500, 503)
"""Every status of a problem document. Any route may have each."""

_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_REFERENCE = "#/components/schemas/{name}"
_JSON_TYPE = "application/json"


def with_document(routes: Iterable[WatchRoute], *, version: str) -> list[WatchRoute]:
    """Return the routes and the route of the document that describes all of them. `version` is that of the server."""

    async def show(_call: WatchCall) -> WatchResponse:
        return response

    route = WatchRoute(
        method="GET",
        template=OPENAPI_PATH,
        action="GetOpenApiDocument",
        summary="This document",
        handle=show,
        is_public=True,
        response=OpenApiDocument,
    )
    all_routes = [*routes, route]
    body = msgspec.json.encode(openapi_document(all_routes, version=version))
    response = HttpResponse(status=200, headers=((b"content-type", _JSON_TYPE.encode()),), body=body)
    return all_routes


class OpenApiDocument(msgspec.Struct, frozen=True, kw_only=True):
    """The members of the document. Its JSON Schema is published by the OpenAPI Initiative."""

    openapi: str
    info: Json
    servers: list[Json]
    security: list[Json]
    paths: dict[str, Json]
    components: Json


def openapi_document(routes: Iterable[WatchRoute], *, version: str) -> OpenApiDocument:
    """Return the document of these routes."""
    routes = list(routes)
    schemas = _Schemas(routes)
    paths: dict[str, Json] = {}
    for route in routes:
        paths.setdefault(route.template, {})[route.method.lower()] = _operation(route, schemas)
    return OpenApiDocument(
        openapi="3.1.1",
        info={"title": "Stagebook watch API", "version": version},
        servers=[{"url": "/"}],
        security=[{name: []} for name in _SECURITY_SCHEMES],
        paths=paths,
        components={
            "schemas": schemas.components,
            "responses": _error_responses(routes, schemas),
            "securitySchemes": _SECURITY_SCHEMES,
        },
    )


class _Schemas:
    """The JSON Schemas of the structs of all routes."""

    def __init__(self, routes: Iterable[WatchRoute]) -> None:
        kinds = [
            kind
            for route in routes
            for kind in (route.query, route.body, route.response, route.error)
            if kind is not None and kind is not msgspec.Raw
        ]
        kinds = list(dict.fromkeys([*kinds, WatchProblem]))
        references, components = msgspec.json.schema_components(kinds, ref_template=_REFERENCE)
        self._references = dict(zip(kinds, references, strict=True))
        queries = {self._name(route.query) for route in routes}
        self._components = components
        used = {
            self._name(kind) for route in routes for kind in (route.body, route.response) if kind in self._references
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


def _operation(route: WatchRoute, schemas: _Schemas) -> Json:
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
            "required": True,
            "content": {_JSON_TYPE: {"schema": schemas.reference(route.body)}},
        }
    return operation


def _path_parameters(route: WatchRoute) -> Iterable[Json]:
    for name in _PLACEHOLDER.findall(route.template):
        schema: Json = {"type": "string", "minLength": 1}
        if name in route.path_values:
            schema["enum"] = list(route.path_values[name])
        yield {"name": name, "in": "path", "required": True, "schema": schema}


def _header_parameters(route: WatchRoute) -> Iterable[Json]:
    for name, is_required in route.header_parameters.items():
        yield {"name": name, "in": "header", "required": is_required, "schema": {"type": "string"}}


def _query_parameters(route: WatchRoute, schemas: _Schemas) -> Iterable[Json]:
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


def _responses(route: WatchRoute, schemas: _Schemas) -> Json:
    success: Json = {"description": HTTPStatus(route.status).phrase}
    if route.content_type != _JSON_TYPE:
        types = (route.content_type, *route.other_content_types)
        success["content"] = {name: {"schema": {"type": "string"}} for name in types}
    elif route.response is not None:
        success["content"] = {route.content_type: {"schema": schemas.reference(route.response)}}
    elif route.body is msgspec.Raw:
        success["content"] = {_JSON_TYPE: {"schema": {"type": "object"}}}
    error = "Problem" if route.error is None else _error_name(route.error)
    problems = {str(status): {"$ref": f"#/components/responses/{error}"} for status in ERROR_STATUSES}
    return {str(route.status): success, **problems}


def _error_responses(routes: Iterable[WatchRoute], schemas: _Schemas) -> Json:
    """Return the responses to errors, which the routes share."""
    problem: Json = {"application/problem+json": {"schema": schemas.reference(WatchProblem)}}
    responses: Json = {"Problem": {"description": "A problem document (RFC 9457)", "content": problem}}
    for kind in dict.fromkeys(route.error for route in routes):
        if kind is not None:
            content = {**problem, _JSON_TYPE: {"schema": schemas.reference(kind)}}
            responses[_error_name(kind)] = {"description": "A problem document, or another error", "content": content}
    return responses


def _error_name(kind: type[msgspec.Struct]) -> str:
    return f"ProblemOr{kind.__name__}"


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
