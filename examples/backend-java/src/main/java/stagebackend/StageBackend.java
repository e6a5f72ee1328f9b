package stagebackend;

import com.fasterxml.jackson.core.JacksonException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Executors;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import software.amazon.awssdk.awscore.exception.AwsServiceException;
import software.amazon.awssdk.core.exception.SdkClientException;

/**
 * The HTTP service of ../README.md, on Java's own HTTP server: {@code PORT=8001 java -jar target/stage-backend.jar}.
 *
 * <p>It listens on 127.0.0.1. It does not know who calls: an application signs its users in first, and takes the userId
 * and the role from there, not from the request.
 */
public final class StageBackend {
    private static final int MAX_BODY_BYTES = 16_384;
    private static final String TIMEOUT_SECONDS = "10";
    private static final int THREADS = 16;
    private static final String ALLOWED_ORIGIN =
            System.getenv().getOrDefault("ALLOWED_ORIGIN", "http://127.0.0.1:8000");

    private static final Rule STAGE_NAME =
            new Rule("the name of a stage", "[A-Za-z0-9_-]{1,128}", "1 to 128 letters, digits, _ or -");
    private static final Rule USER_ID =
            new Rule("userId", "[A-Za-z0-9_.@-]{1,128}", "1 to 128 letters, digits, _ . @ or -");
    private static final Rule ROLE = new Rule("role", "host|viewer", "host or viewer");
    private static final Rule PARTICIPANT_ID =
            new Rule("the id of a participant", "[A-Za-z0-9-]{1,64}", "1 to 64 letters, digits or -");
    private static final Rule SESSION_ID =
            new Rule("sessionId", "st-[A-Za-z0-9]{1,61}", "st- and 1 to 61 letters or digits");

    private final IvsStages stages = new IvsStages();
    private final ObjectMapper json = new ObjectMapper();
    private final List<Route> routes = List.of(
            new Route("POST", Pattern.compile("/stages"), this::createStage),
            new Route("POST", Pattern.compile("/stages/([^/]+)/tokens"), this::createToken),
            new Route("GET", Pattern.compile("/stages/([^/]+)/participants"), this::listParticipants),
            new Route("GET", Pattern.compile("/stages/([^/]+)/participants/([^/]+)/events"), this::listEvents));

    /** A name for the error, a pattern, and what the pattern permits. */
    private record Rule(String name, String pattern, String text) {
        /** Returns a value that follows the rule. Throws RefusedException. */
        String check(String value) {
            if (value == null || !value.matches(pattern)) {
                throw new RefusedException(400, name + " must be " + text);
            }
            return value;
        }
    }

    /** The segments of the path, the query, and the object in the body of a POST request. */
    private record Call(List<String> segments, String query, JsonNode body) {
        /** Returns a member of the body if it is a string, or null. */
        String text(String member) {
            return body.path(member).textValue();
        }
    }

    private record Answer(int status, Object body) {}

    private interface Handler {
        Answer handle(Call call);
    }

    private record Route(String method, Pattern path, Handler handler) {}

    /** A request that the service does not carry out. */
    private static final class RefusedException extends RuntimeException {
        private static final long serialVersionUID = 1;
        private final int status;

        RefusedException(int status, String message) {
            super(message);
            this.status = status;
        }
    }

    private Answer createStage(Call call) {
        String name = STAGE_NAME.check(call.text("name"));
        return stages.find(name)
                .map(found -> new Answer(200, found))
                .orElseGet(() -> new Answer(201, stages.create(name)));
    }

    private Answer createToken(Call call) {
        String name = STAGE_NAME.check(call.segments().get(0));
        String userId = USER_ID.check(call.text("userId"));
        String role = ROLE.check(call.text("role"));
        return new Answer(201, stages.createToken(name, userId, role));
    }

    private Answer listParticipants(Call call) {
        return new Answer(200, stages.participants(STAGE_NAME.check(call.segments().get(0))));
    }

    private Answer listEvents(Call call) {
        String name = STAGE_NAME.check(call.segments().get(0));
        String participantId = PARTICIPANT_ID.check(call.segments().get(1));
        String sessionId = null;
        for (String parameter : call.query().split("&")) {
            if (parameter.startsWith("sessionId=")) {
                sessionId = SESSION_ID.check(decoded(parameter.substring("sessionId=".length())));
            }
        }
        return new Answer(200, stages.events(name, participantId, sessionId));
    }

    private Answer callRoute(HttpExchange exchange) throws IOException {
        String method = exchange.getRequestMethod();
        if (method.equals("OPTIONS")) {
            return new Answer(204, null);
        }
        byte[] content = method.equals("POST") ? readContent(exchange) : new byte[0];
        for (Route route : routes) {
            Matcher match = route.path().matcher(exchange.getRequestURI().getRawPath());
            if (!match.matches()) {
                continue;
            }
            if (!route.method().equals(method)) {
                throw new RefusedException(405, "the method must be " + route.method());
            }
            List<String> segments = new ArrayList<>();
            for (int group = 1; group <= match.groupCount(); group++) {
                segments.add(decoded(match.group(group)));
            }
            String query = exchange.getRequestURI().getRawQuery();
            JsonNode body = method.equals("POST") ? readJson(exchange, content) : json.createObjectNode();
            return route.handler().handle(new Call(segments, query == null ? "" : query, body));
        }
        throw new RefusedException(404, "there is no such route");
    }

    private static byte[] readContent(HttpExchange exchange) throws IOException {
        String length = exchange.getRequestHeaders().getFirst("Content-Length");
        if (length == null) {
            throw new RefusedException(411, "Content-Length is missing");
        }
        if (Long.parseLong(length) > MAX_BODY_BYTES) { // the server refuses what is no number
            throw new RefusedException(413, "the body may have " + MAX_BODY_BYTES + " bytes");
        }
        return exchange.getRequestBody().readAllBytes();
    }

    private JsonNode readJson(HttpExchange exchange, byte[] content) throws IOException {
        // A page of another origin can send JSON only after the browser has asked this server: see ALLOWED_ORIGIN.
        String type = exchange.getRequestHeaders().getFirst("Content-Type");
        if (type == null || !type.split(";")[0].strip().equals("application/json")) {
            throw new RefusedException(415, "Content-Type must be application/json");
        }
        JsonNode body;
        try {
            body = json.readTree(content);
        } catch (JacksonException error) {
            body = null;
        }
        if (body == null || !body.isObject()) {
            throw new RefusedException(400, "the body must be a JSON object");
        }
        return body;
    }

    private static String decoded(String segment) {
        return URLDecoder.decode(segment.replace("+", "%2B"), StandardCharsets.UTF_8);
    }

    private void respond(HttpExchange exchange) throws IOException {
        Answer answer;
        try {
            answer = callRoute(exchange);
        } catch (RefusedException error) {
            answer = error(error.status, error.getMessage());
        } catch (IvsStages.NotFoundException error) {
            answer = error(404, error.getMessage());
        } catch (AwsServiceException error) {
            answer = error(502, "IVS refused: " + error.awsErrorDetails().errorCode());
        } catch (SdkClientException error) {
            System.err.println("IVS cannot be called: " + error);
            answer = error(502, "IVS cannot be called");
        }
        send(exchange, answer);
    }

    private static Answer error(int status, String message) {
        return new Answer(status, Map.of("error", message));
    }

    private void send(HttpExchange exchange, Answer answer) throws IOException {
        var fields = exchange.getResponseHeaders();
        fields.set("Access-Control-Allow-Origin", ALLOWED_ORIGIN);
        fields.set("Access-Control-Allow-Headers", "Content-Type");
        if (answer.status() == 413) {
            fields.set("Connection", "close"); // instead of reading the body
        }
        if (answer.body() == null) {
            exchange.sendResponseHeaders(answer.status(), -1);
        } else {
            byte[] content = json.writeValueAsBytes(answer.body());
            fields.set("Content-Type", "application/json");
            exchange.sendResponseHeaders(answer.status(), content.length);
            exchange.getResponseBody().write(content);
        }
        exchange.close();
    }

    /** Starts the service. */
    public static void main(String[] arguments) throws IOException {
        System.setProperty("sun.net.httpserver.maxReqTime", TIMEOUT_SECONDS);
        System.setProperty("sun.net.httpserver.maxRspTime", "60"); // all calls of IVS for a request, too
        int port = Integer.parseInt(System.getenv().getOrDefault("PORT", "8001"));
        HttpServer server = HttpServer.create(new InetSocketAddress(InetAddress.getByName("127.0.0.1"), port), 0);
        server.createContext("/", new StageBackend()::respond);
        server.setExecutor(Executors.newFixedThreadPool(THREADS));
        server.start();
        System.out.println("listening on http://127.0.0.1:" + server.getAddress().getPort());
    }
}
