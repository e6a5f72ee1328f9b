// Package ivsrealtime stands in for the published package of this name where the Go module proxy does not have it, so
// that the example is compiled and run there, too. It has the operations that the example calls. Configuration,
// credentials and signatures are those of the SDK.
package ivsrealtime

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"os"
	"reflect"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/smithy-go"
)

// Options of an operation: the example sets none.
type Options struct{}

// Client calls the endpoint of AWS_ENDPOINT_URL_IVS_REALTIME.
type Client struct{ config aws.Config }

func NewFromConfig(config aws.Config, _ ...func(*Options)) *Client { return &Client{config} }

func invoke[Output any](ctx context.Context, c *Client, operation string, input any) (*Output, error) {
	body, err := json.Marshal(members(input))
	if err != nil {
		return nil, err
	}
	url := os.Getenv("AWS_ENDPOINT_URL_IVS_REALTIME") + "/" + operation
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	credentials, err := c.config.Credentials.Retrieve(ctx)
	if err != nil {
		return nil, err
	}
	digest := sha256.Sum256(body)
	hash := hex.EncodeToString(digest[:])
	if err := v4.NewSigner().SignHTTP(ctx, credentials, request, hash, "ivs", c.config.Region, time.Now()); err != nil {
		return nil, err
	}
	response, err := c.config.HTTPClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, &smithy.GenericAPIError{Code: response.Header.Get("X-Amzn-Errortype")}
	}
	output := new(Output)
	return output, json.NewDecoder(response.Body).Decode(output)
}

// members returns the members of an input that are set, by their names in JSON.
func members(input any) map[string]any {
	value := reflect.Indirect(reflect.ValueOf(input))
	set := map[string]any{}
	for index := range value.NumField() {
		if name := value.Type().Field(index).Name; !value.Field(index).IsZero() {
			set[strings.ToLower(name[:1])+name[1:]] = value.Field(index).Interface()
		}
	}
	return set
}

// pages is the place of a paginator.
type pages struct {
	nextToken *string
	isTurned  bool
}

func (p *pages) HasMorePages() bool { return !p.isTurned || p.nextToken != nil }

func (p *pages) turn(nextToken *string) { p.nextToken, p.isTurned = nextToken, true }
