package stagetests;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import software.amazon.awssdk.services.ivsrealtime.IvsRealTimeClient;

/** Tests of code that uses IVS Real-Time: no AWS account, no media, and no waiting. */
final class StageTest {
    private static StagebookServer server;
    private IvsRealTimeClient ivs;

    @BeforeAll
    static void startServer() throws IOException {
        server = new StagebookServer();
    }

    @AfterAll
    static void stopServer() throws IOException {
        server.close();
    }

    @BeforeEach
    void takeNewAccount() {
        ivs = server.client();
    }

    @Test
    void aGuestJoinsPublishesAndLosesTheNetwork() {
        String arn = ivs.createStage(request -> request.name("show")).stage().arn();
        var ann = server.participant(arn, "ann");
        var bob = server.participant(arn, "bob");
        assertEquals(List.of("JOINED", "PUBLISH_STARTED"), ann.act("publish"));
        bob.act("join");
        assertEquals(List.of("SUBSCRIBE_STARTED"), bob.act("subscribe", Map.of("to", ann.participantId)));
        assertTrue(ann.act("fail-publish", Map.of("errorCode", "BITRATE_EXCEEDED")).contains("PUBLISH_ERROR"));
        assertEquals(List.of("LEFT"), bob.act("lose-connection"));
        assertEquals(1, ivs.listStageSessions(request -> request.stageArn(arn)).stageSessions().size());
    }

    @Test
    void aTokenExpiresAfterItsDuration() {
        String arn = ivs.createStage(request -> request.name("show")).stage().arn();
        var token = ivs.createParticipantToken(request -> request.stageArn(arn).duration(60)).participantToken();
        var late = server.participant(token.token());
        server.advanceClock(Duration.ofMinutes(61));
        assertThrows(StagebookServer.CallRefusedException.class, () -> late.act("join"));
    }

    @Test
    void accountsAreSeparate() {
        ivs.createStage(request -> request.name("show"));
        assertEquals(1, ivs.listStages(request -> {}).stages().size());
        assertEquals(List.of(), server.client().listStages(request -> {}).stages());
    }
}
