package software.amazon.awssdk.services.ivsrealtime;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.databind.DeserializationContext;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.deser.std.StdDeserializer;
import com.fasterxml.jackson.databind.module.SimpleModule;
import java.io.IOException;
import java.net.URI;
import java.time.Instant;
import java.util.Map;
import software.amazon.awssdk.auth.credentials.AwsCredentialsProvider;
import software.amazon.awssdk.awscore.exception.AwsErrorDetails;
import software.amazon.awssdk.awscore.exception.AwsServiceException;
import software.amazon.awssdk.core.exception.SdkClientException;
import software.amazon.awssdk.http.ContentStreamProvider;
import software.amazon.awssdk.http.HttpExecuteRequest;
import software.amazon.awssdk.http.SdkHttpClient;
import software.amazon.awssdk.http.SdkHttpFullRequest;
import software.amazon.awssdk.http.SdkHttpMethod;
import software.amazon.awssdk.http.auth.aws.signer.AwsV4HttpSigner;
import software.amazon.awssdk.regions.Region;
import software.amazon.awssdk.regions.providers.DefaultAwsRegionProviderChain;

/** Calls the operations of an endpoint. Region, credentials, signatures and the HTTP client are those of the SDK. */
final class SignedCalls {
    private final String endpoint;
    private final String region;
    private final AwsCredentialsProvider credentials;
    private final AwsV4HttpSigner signer = AwsV4HttpSigner.create();
    private final SdkHttpClient http;
    private final ObjectMapper json = new ObjectMapper()
            .disable(DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES)
            .registerModule(new SimpleModule().addDeserializer(Instant.class, new StdDeserializer<>(Instant.class) {
                private static final long serialVersionUID = 1;

                @Override
                public Instant deserialize(JsonParser parser, DeserializationContext context) throws IOException {
                    return Instant.parse(parser.getText());
                }
            }));

    SignedCalls(SdkHttpClient http, String endpoint, Region region, AwsCredentialsProvider credentials) {
        this.http = http;
        this.endpoint = endpoint;
        var found = region == null ? DefaultAwsRegionProviderChain.builder().build().getRegion() : region;
        this.region = found.id();
        this.credentials = credentials;
    }

    <T> T call(String operation, Map<String, Object> members, Class<T> response) {
        try {
            var body = ContentStreamProvider.fromByteArray(json.writeValueAsBytes(members));
            var request = SdkHttpFullRequest.builder()
                    .method(SdkHttpMethod.POST)
                    .uri(URI.create(endpoint + "/" + operation))
                    .putHeader("Content-Type", "application/json")
                    .build();
            var signed = signer.sign(each -> each.identity(credentials.resolveCredentials())
                    .request(request)
                    .payload(body)
                    .putProperty(AwsV4HttpSigner.SERVICE_SIGNING_NAME, "ivs")
                    .putProperty(AwsV4HttpSigner.REGION_NAME, region));
            var answer = http.prepareRequest(HttpExecuteRequest.builder()
                            .request(signed.request())
                            .contentStreamProvider(signed.payload().orElse(body))
                            .build())
                    .call();
            if (answer.httpResponse().isSuccessful()) {
                return json.readValue(answer.responseBody().orElseThrow(), response);
            }
            String code = answer.httpResponse().firstMatchingHeader("x-amzn-ErrorType").orElse("");
            throw AwsServiceException.builder()
                    .awsErrorDetails(AwsErrorDetails.builder().errorCode(code).build())
                    .build();
        } catch (IOException error) {
            throw SdkClientException.create("the endpoint cannot be called", error);
        }
    }
}
