package stagetests;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;
import software.amazon.awssdk.auth.credentials.AwsBasicCredentials;
import software.amazon.awssdk.auth.credentials.StaticCredentialsProvider;
import software.amazon.awssdk.http.urlconnection.UrlConnectionHttpClient;
import software.amazon.awssdk.regions.Region;
import software.amazon.awssdk.services.ivsrealtime.IvsRealTimeClient;

/**
 * A Stagebook server for tests, in the manner of Testcontainers. Copy this file into your tests.
 *
 * <p>The server is {@code stagebook serve --testing}, started by the command {@code stagebook} (pip install stagebook). It ends with
 * this process, also when that is killed, because its standard input ends then. It deletes its data when it ends.
 */
final class StagebookServer implements AutoCloseable {
    private static final Pattern LISTENING = Pattern.compile(" is listening on (\\S+)$");
    private static final List<String> COMMAND = List.of(
            "stagebook", "serve", "--testing", "--temporary", "--until-stdin-ends",
            "--listen", "127.0.0.1:0", "--rtmp-listen", "127.0.0.1:0", "--rtmps-listen", "127.0.0.1:0");
    private static final ObjectMapper JSON = new ObjectMapper();

    private final HttpClient http = HttpClient.newHttpClient();
    private final Process process;
    private final String url;

    /** Start a server and wait until it is ready. */
    StagebookServer() throws IOException {
        process = new ProcessBuilder(COMMAND).redirectError(ProcessBuilder.Redirect.DISCARD).start();
        url = firstAddress(new BufferedReader(new InputStreamReader(process.getInputStream(), StandardCharsets.UTF_8)));
    }

    /** A client with a new account, which sees nothing of others. */
    IvsRealTimeClient client() {
        JsonNode account = post("accounts", Map.of());
        var credentials = AwsBasicCredentials.create(
                account.get("accessKeyId").asText(), account.get("secretAccessKey").asText());
        return IvsRealTimeClient.builder()
                .endpointOverride(URI.create(url))
                .region(Region.of(get("server").get("region").asText()))
                .credentialsProvider(StaticCredentialsProvider.create(credentials))
                .httpClientBuilder(UrlConnectionHttpClient.builder())
                .build();
    }

    /** A participant without media, who has not joined yet. */
    Participant participant(String stageArn, String userId) {
        return new Participant(post("participants", Map.of("stageArn", stageArn, "userId", userId)));
    }

    /** A participant without media, with a token of the application. */
    Participant participant(String token) {
        return new Participant(post("participants", Map.of("token", token)));
    }

    /** Move the clock of the server. All that is due on the way has happened when this returns. */
    Instant advanceClock(Duration duration) {
        return Instant.parse(post("clock/advance", Map.of("seconds", duration.toMillis() / 1000.0)).get("now").asText());
    }

    /** Let the next calls of an operation fail. */
    void fault(String operation, String kind, int times) {
        post("faults", Map.of("operation", operation, "kind", kind, "times", times));
    }

    /** Stop the server and wait until it has ended. */
    @Override
    public void close() throws IOException {
        process.getOutputStream().close();
        process.onExit().join();
    }

    /** A participant. Each action returns the names of the events that it made, once they are durable. */
    final class Participant {
        private final String id;
        final String participantId;

        private Participant(JsonNode made) {
            id = made.get("id").asText();
            participantId = made.get("participantId").asText();
        }

        /** Do one of the actions of docs/testing.md, for instance {@code act("subscribe", Map.of("to", id))}. */
        List<String> act(String action, Map<String, Object> members) {
            List<String> names = new ArrayList<>();
            post("participants/" + id + "/" + action, members)
                    .get("events")
                    .forEach(event -> names.add(event.get("name").asText()));
            return names;
        }

        List<String> act(String action) {
            return act(action, Map.of());
        }
    }

    /** The server refused a call of the testing API. The message says why. */
    static final class CallRefusedException extends RuntimeException {
        private static final long serialVersionUID = 1;

        CallRefusedException(String detail) {
            super(detail);
        }
    }

    private static String firstAddress(BufferedReader lines) throws IOException {
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            var found = LISTENING.matcher(line);
            if (found.find()) {
                return found.group(1);
            }
        }
        throw new IOException("the server did not start: run `stagebook serve --testing` to see why");
    }

    private JsonNode get(String path) {
        return call(request(path).GET().build());
    }

    private JsonNode post(String path, Map<String, Object> members) {
        try {
            var body = HttpRequest.BodyPublishers.ofString(JSON.writeValueAsString(members));
            return call(request(path).header("Content-Type", "application/json").POST(body).build());
        } catch (IOException error) {
            throw new IllegalStateException(error);
        }
    }

    private HttpRequest.Builder request(String path) {
        return HttpRequest.newBuilder(URI.create(url + "/testing/v1/" + path));
    }

    private JsonNode call(HttpRequest request) {
        try {
            var response = http.send(request, HttpResponse.BodyHandlers.ofString());
            JsonNode answer = JSON.readTree(response.body());
            if (response.statusCode() >= 400) {
                throw new CallRefusedException(answer.get("detail").asText());
            }
            return answer;
        } catch (IOException error) {
            throw new IllegalStateException("the server does not answer", error);
        } catch (InterruptedException error) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException(error);
        }
    }
}
