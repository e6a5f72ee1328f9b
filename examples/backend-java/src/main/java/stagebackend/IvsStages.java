package stagebackend;

import com.fasterxml.jackson.annotation.JsonInclude;
import java.time.Duration;
import java.time.Instant;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import software.amazon.awssdk.http.urlconnection.UrlConnectionHttpClient;
import software.amazon.awssdk.services.ivsrealtime.IvsRealTimeClient;
import software.amazon.awssdk.services.ivsrealtime.model.ListParticipantEventsResponse;
import software.amazon.awssdk.services.ivsrealtime.model.ListParticipantsResponse;
import software.amazon.awssdk.services.ivsrealtime.model.ListStagesResponse;
import software.amazon.awssdk.services.ivsrealtime.model.ParticipantState;
import software.amazon.awssdk.services.ivsrealtime.model.ParticipantTokenCapability;
import software.amazon.awssdk.services.ivsrealtime.model.StageSummary;

/**
 * What the backend asks of Amazon IVS Real-Time, with the AWS SDK: stages by name, tokens by role, and what participants
 * did. The methods throw NotFoundException, and the exceptions of the SDK.
 *
 * <p>The SDK finds the endpoint, the region and the credentials by itself: AWS_ENDPOINT_URL_IVS_REALTIME, AWS_REGION,
 * AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY. Without an endpoint URL it calls AWS.
 */
final class IvsStages {
    private static final int TOKEN_MINUTES = 60;
    private static final DateTimeFormatter FORMAT =
            DateTimeFormatter.ofPattern("yyyy-MM-dd'T'HH:mm:ss.SSS'Z'").withZone(ZoneOffset.UTC);

    /** What a user may do on a stage, by the user's role. */
    private static final Map<String, List<ParticipantTokenCapability>> CAPABILITIES = Map.of(
            "host", List.of(ParticipantTokenCapability.PUBLISH, ParticipantTokenCapability.SUBSCRIBE),
            "viewer", List.of(ParticipantTokenCapability.SUBSCRIBE));

    record StageAnswer(String name, String arn) {}

    record TokenAnswer(String token, String participantId, String userId, String role, String expirationTime) {}

    record Participant(String participantId, String userId, boolean published, String firstJoinTime) {}

    record ParticipantsAnswer(String sessionId, List<Participant> participants) {}

    @JsonInclude(JsonInclude.Include.NON_NULL)
    record Event(
            String name, String participantId, String eventTime, String remoteParticipantId, String errorCode) {}

    record EventsAnswer(String sessionId, List<Event> events) {}

    /** There is no such stage. The message says so to the caller. */
    static final class NotFoundException extends RuntimeException {
        private static final long serialVersionUID = 1;

        NotFoundException(String name) {
            super("there is no stage named " + name);
        }
    }

    private final IvsRealTimeClient client = IvsRealTimeClient.builder()
            .httpClientBuilder(UrlConnectionHttpClient.builder()
                    .connectionTimeout(Duration.ofSeconds(5))
                    .socketTimeout(Duration.ofSeconds(10)))
            .build();

    /** Returns the stage with this name, if there is one. */
    Optional<StageAnswer> find(String name) {
        return summary(name).map(found -> new StageAnswer(name, found.arn()));
    }

    /** Returns a new stage with this name. */
    StageAnswer create(String name) {
        return new StageAnswer(name, client.createStage(request -> request.name(name)).stage().arn());
    }

    /** Returns a participant token with which a user joins a stage. */
    TokenAnswer createToken(String name, String userId, String role) {
        String stageArn = get(name).arn();
        var token = client.createParticipantToken(request -> request.stageArn(stageArn)
                        .userId(userId)
                        .attributes(Map.of("role", role))
                        .capabilities(CAPABILITIES.get(role))
                        .duration(TOKEN_MINUTES))
                .participantToken();
        return new TokenAnswer(token.token(), token.participantId(), userId, role, inUtc(token.expirationTime()));
    }

    /** Returns who is on a stage now. */
    ParticipantsAnswer participants(String name) {
        StageSummary stage = get(name);
        String sessionId = stage.activeSessionId();
        List<Participant> found = new ArrayList<>();
        if (sessionId == null || sessionId.isEmpty()) {
            return new ParticipantsAnswer(null, found);
        }
        for (ListParticipantsResponse page : client.listParticipantsPaginator(request -> request.stageArn(stage.arn())
                .sessionId(sessionId)
                .filterByState(ParticipantState.CONNECTED))) {
            for (var each : page.participants()) {
                found.add(new Participant(
                        each.participantId(),
                        Optional.ofNullable(each.userId()).orElse(""),
                        Boolean.TRUE.equals(each.published()),
                        inUtc(each.firstJoinTime())));
            }
        }
        return new ParticipantsAnswer(sessionId, found);
    }

    /** Returns all events of a participant in a session, the newest first. Without a session: in the newest one. */
    EventsAnswer events(String name, String participantId, String session) {
        String stageArn = get(name).arn();
        String sessionId = session == null ? newestSession(stageArn) : session;
        List<Event> found = new ArrayList<>();
        if (sessionId == null) {
            return new EventsAnswer(null, found);
        }
        for (ListParticipantEventsResponse page : client.listParticipantEventsPaginator(
                request -> request.stageArn(stageArn).sessionId(sessionId).participantId(participantId))) {
            for (var each : page.events()) {
                found.add(new Event(
                        each.nameAsString(),
                        each.participantId(),
                        inUtc(each.eventTime()),
                        each.remoteParticipantId(),
                        each.errorCodeAsString()));
            }
        }
        return new EventsAnswer(sessionId, found);
    }

    /** Returns the id of the newest session of a stage, or null. */
    private String newestSession(String stageArn) {
        var sessions = client.listStageSessions(request -> request.stageArn(stageArn).maxResults(1)).stageSessions();
        return sessions.isEmpty() ? null : sessions.get(0).sessionId();
    }

    private StageSummary get(String name) {
        return summary(name).orElseThrow(() -> new NotFoundException(name));
    }

    /** Returns the first stage with this name. An application keeps the ARNs of its stages in its database. */
    private Optional<StageSummary> summary(String name) {
        for (ListStagesResponse page : client.listStagesPaginator(request -> request.maxResults(100))) {
            for (StageSummary stage : page.stages()) {
                if (name.equals(stage.name())) {
                    return Optional.of(stage);
                }
            }
        }
        return Optional.empty();
    }

    /** Returns a time with milliseconds, as 2026-11-28T06:47:42.658Z. */
    private static String inUtc(Instant time) {
        return FORMAT.format(time);
    }
}
