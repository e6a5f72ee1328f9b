"""Writes the stand-in of the AWS SDK's package for IVS Real-Time in Java, from botocore's service model.

    python java_client_source.py FOLDER

Names and types follow the SDK's code generator for the operations that the example calls:
`request -> request.name(...)`, `response.stages()`, `event.nameAsString()`, `client.listStagesPaginator(...)`.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import botocore.session

PACKAGE = "software.amazon.awssdk.services.ivsrealtime"
OPERATIONS = (
    "CreateParticipantToken",
    "CreateStage",
    "ListParticipantEvents",
    "ListParticipants",
    "ListStageSessions",
    "ListStages",
)
_IMPORTS = """
import com.fasterxml.jackson.annotation.JsonProperty;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
"""
_SCALARS = {"string": "String", "boolean": "Boolean", "integer": "Integer", "timestamp": "Instant"}
_CLIENT = """package %(package)s;

import java.net.URI;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;
import software.amazon.awssdk.auth.credentials.AwsCredentialsProvider;
import software.amazon.awssdk.auth.credentials.DefaultCredentialsProvider;
import software.amazon.awssdk.http.SdkHttpClient;
import software.amazon.awssdk.regions.Region;
import %(package)s.model.*;

public final class IvsRealTimeClient {
    private final SignedCalls calls;

    private IvsRealTimeClient(SignedCalls calls) {
        this.calls = calls;
    }

    public static Builder builder() {
        return new Builder();
    }

    public static final class Builder {
        private SdkHttpClient.Builder<?> http;
        private String endpoint = System.getenv("AWS_ENDPOINT_URL_IVS_REALTIME");
        private Region region;
        private AwsCredentialsProvider credentials;

        public Builder endpointOverride(URI uri) {
            endpoint = uri.toString();
            return this;
        }

        public Builder region(Region own) {
            region = own;
            return this;
        }

        public Builder credentialsProvider(AwsCredentialsProvider provider) {
            credentials = provider;
            return this;
        }

        public Builder httpClientBuilder(SdkHttpClient.Builder<?> builder) {
            http = builder;
            return this;
        }

        public IvsRealTimeClient build() {
            var provider = credentials == null ? DefaultCredentialsProvider.builder().build() : credentials;
            return new IvsRealTimeClient(new SignedCalls(http.build(), endpoint, region, provider));
        }
    }
%(methods)s}
"""
_CALL = """
    public %(name)sResponse %(method)s(Consumer<%(name)sRequest.Builder> change) {
        var request = new %(name)sRequest.Builder();
        change.accept(request);
        return calls.call("%(name)s", request.members, %(name)sResponse.class);
    }
"""
_PAGINATOR = """
    public Iterable<%(name)sResponse> %(method)sPaginator(Consumer<%(name)sRequest.Builder> change) {
        List<%(name)sResponse> pages = new ArrayList<>();
        pages.add(%(method)s(change));
        for (String next = pages.get(0).nextToken(); next != null; next = pages.get(pages.size() - 1).nextToken()) {
            String token = next;
            pages.add(%(method)s(change.andThen(request -> request.nextToken(token))));
        }
        return pages;
    }
"""


def java_type(shape: Any) -> str:  # noqa: ANN401 - a shape of botocore, which declares no types
    """Return the Java type of a shape."""
    if shape.type_name == "list":
        return f"List<{java_type(shape.member)}>"
    if shape.type_name == "map":
        return "Map<String, String>"
    if shape.type_name == "structure" or getattr(shape, "enum", None):
        return str(shape.name)
    return _SCALARS[shape.type_name]


def enum_source(shape: Any) -> str:  # noqa: ANN401 - as above
    """Return the type of a string with fixed values."""
    return f"public enum {shape.name} {{ {', '.join(shape.enum)} }}"


def record_source(name: str, shape: Any) -> str:  # noqa: ANN401 - as above
    """Return a response or a structure in it. Strings with fixed values are only there by `...AsString`."""
    members = []
    for member, each in shape.members.items():
        is_enum = bool(getattr(each, "enum", None))
        component = f"String {member}AsString" if is_enum else f"{java_type(each)} {member}"
        members.append(f'@JsonProperty("{member}") {component}')
    return f"public record {name}({', '.join(members)}) {{}}"


def request_source(name: str, shape: Any) -> str:  # noqa: ANN401 - as above
    """Return a request, which is given as a change of its builder."""
    setters = "".join(
        f'public Builder {member}({java_type(each)} value) {{ members.put("{member}", value); return this; }} '
        for member, each in shape.members.items()
    )
    builder = (
        f"public static final class Builder {{ public final Map<String, Object> members = new TreeMap<>(); {setters}}}"
    )
    return f"public final class {name} {{ {builder} }}"


def nested(shape: Any) -> Iterator[Any]:  # noqa: ANN401 - as above
    """Yield the structures and the strings with fixed values below a shape."""
    for each in [*getattr(shape, "members", {}).values(), *([shape.member] if shape.type_name == "list" else [])]:
        if each.type_name == "structure" or getattr(each, "enum", None):
            yield each
        yield from nested(each)


def sources() -> dict[str, str]:
    """Return the contents of all files by their paths below the package."""
    model: Any = botocore.session.get_session().get_service_model("ivs-realtime")
    files: dict[str, str] = {}
    methods = ""
    for name in OPERATIONS:
        operation = model.operation_model(name)
        shapes = [*nested(operation.input_shape), *nested(operation.output_shape)]
        files |= {
            each.name: record_source(each.name, each) if each.type_name == "structure" else enum_source(each)
            for each in shapes
        }
        files[f"{name}Request"] = request_source(f"{name}Request", operation.input_shape)
        files[f"{name}Response"] = record_source(f"{name}Response", operation.output_shape)
        names = {"name": name, "method": name[0].lower() + name[1:]}
        methods += _CALL % names + (_PAGINATOR % names if "nextToken" in operation.output_shape.members else "")
    texts = {
        f"model/{name}.java": f"package {PACKAGE}.model;\n{_IMPORTS}\n{source}\n" for name, source in files.items()
    }
    return {**texts, "IvsRealTimeClient.java": _CLIENT % {"package": PACKAGE, "methods": methods}}


if __name__ == "__main__":
    folder = Path(sys.argv[1], *PACKAGE.split("."))
    (folder / "model").mkdir(parents=True)
    for path, text in sources().items():
        (folder / path).write_text(text, encoding="utf-8")
