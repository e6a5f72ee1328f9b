// The HTTP service of ../README.md, on Go's own HTTP server: `PORT=8001 ./stagebackend`.
//
// It listens on 127.0.0.1. It does not know who calls: an application signs its users in first, and takes the userId and
// the role from there, not from the request.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"mime"
	"net"
	"net/http"
	"os"
	"regexp"
	"time"

	"github.com/aws/smithy-go"
)

const (
	maxBodyBytes   = 16_384
	timeout        = 10 * time.Second
	requestTimeout = time.Minute // of all calls of IVS for one request
)

// rule has a name for the error, a pattern, and what the pattern permits.
type rule struct {
	name    string
	pattern *regexp.Regexp
	text    string
}

var (
	stageNameRule = rule{"the name of a stage", regexp.MustCompile(`\A[A-Za-z0-9_-]{1,128}\z`),
		"1 to 128 letters, digits, _ or -"}
	userIDRule = rule{"userId", regexp.MustCompile(`\A[A-Za-z0-9_.@-]{1,128}\z`),
		"1 to 128 letters, digits, _ . @ or -"}
	roleRule          = rule{"role", regexp.MustCompile(`\A(host|viewer)\z`), "host or viewer"}
	participantIDRule = rule{"the id of a participant", regexp.MustCompile(`\A[A-Za-z0-9-]{1,64}\z`),
		"1 to 64 letters, digits or -"}
	sessionIDRule = rule{"sessionId", regexp.MustCompile(`\Ast-[A-Za-z0-9]{1,61}\z`),
		"st- and 1 to 61 letters or digits"}
)

// refusedError is a request that the service does not carry out.
type refusedError struct {
	status  int
	message string
}

func (e refusedError) Error() string { return e.message }

// checked returns a value that follows its rule, or a refusedError.
func checked(r rule, value any) (string, error) {
	text, isText := value.(string)
	if !isText || !r.pattern.MatchString(text) {
		return "", refusedError{http.StatusBadRequest, fmt.Sprintf("%s must be %s", r.name, r.text)}
	}
	return text, nil
}

type backend struct {
	stages        *stages
	allowedOrigin string
}

// call is a request: its path and query, and the object in its body.
type call struct {
	*http.Request
	body map[string]any
}

func (b *backend) createStage(c call) (int, any, error) {
	name, err := checked(stageNameRule, c.body["name"])
	if err != nil {
		return 0, nil, err
	}
	stage, isNew, err := b.stages.create(c.Context(), name)
	if isNew {
		return http.StatusCreated, stage, err
	}
	return http.StatusOK, stage, err
}

func (b *backend) createToken(c call) (int, any, error) {
	name, nameErr := checked(stageNameRule, c.PathValue("name"))
	userID, userErr := checked(userIDRule, c.body["userId"])
	role, roleErr := checked(roleRule, c.body["role"])
	if err := cmp.Or(nameErr, userErr, roleErr); err != nil {
		return 0, nil, err
	}
	token, err := b.stages.createToken(c.Context(), name, userID, role)
	return http.StatusCreated, token, err
}

func (b *backend) listParticipants(c call) (int, any, error) {
	name, err := checked(stageNameRule, c.PathValue("name"))
	if err != nil {
		return 0, nil, err
	}
	found, err := b.stages.participants(c.Context(), name)
	return http.StatusOK, found, err
}

func (b *backend) listEvents(c call) (int, any, error) {
	name, nameErr := checked(stageNameRule, c.PathValue("name"))
	participantID, participantErr := checked(participantIDRule, c.PathValue("participantId"))
	var sessionID string
	var sessionErr error
	if c.URL.Query().Has("sessionId") {
		sessionID, sessionErr = checked(sessionIDRule, c.URL.Query().Get("sessionId"))
	}
	if err := cmp.Or(nameErr, participantErr, sessionErr); err != nil {
		return 0, nil, err
	}
	found, err := b.stages.events(c.Context(), name, participantID, sessionID)
	return http.StatusOK, found, err
}

// routes returns the routes by their paths.
func (b *backend) routes() http.Handler {
	routes := http.NewServeMux()
	add := func(method, path string, handle func(call) (int, any, error)) {
		routes.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) { b.respond(w, r, method, handle) })
	}
	add(http.MethodPost, "/stages", b.createStage)
	add(http.MethodPost, "/stages/{name}/tokens", b.createToken)
	add(http.MethodGet, "/stages/{name}/participants", b.listParticipants)
	add(http.MethodGet, "/stages/{name}/participants/{participantId}/events", b.listEvents)
	routes.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		b.send(w, http.StatusNotFound, errorAnswer("there is no such route"))
	})
	return routes
}

func (b *backend) respond(
	w http.ResponseWriter, r *http.Request, method string, handle func(call) (int, any, error),
) {
	if r.Method == http.MethodOptions {
		b.send(w, http.StatusNoContent, nil)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), requestTimeout)
	defer cancel()
	body, err := readBody(r, method)
	if err != nil {
		b.send(w, statusOf(err), errorAnswer(messageOf(err)))
		return
	}
	status, answer, err := handle(call{r.WithContext(ctx), body})
	if err != nil {
		status, answer = statusOf(err), errorAnswer(messageOf(err))
	}
	b.send(w, status, answer)
}

// readBody returns the object in the body of a POST request.
func readBody(r *http.Request, method string) (map[string]any, error) {
	if r.Method == http.MethodPost && r.ContentLength < 0 {
		return nil, refusedError{http.StatusLengthRequired, "Content-Length is missing"}
	}
	if r.ContentLength > maxBodyBytes {
		return nil, refusedError{http.StatusRequestEntityTooLarge, fmt.Sprintf("the body may have %d bytes", maxBodyBytes)}
	}
	if r.Method != method {
		return nil, refusedError{http.StatusMethodNotAllowed, "the method must be " + method}
	}
	if method != http.MethodPost {
		return nil, nil
	}
	// A page of another origin can send JSON only after the browser has asked this server: see ALLOWED_ORIGIN.
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return nil, refusedError{http.StatusUnsupportedMediaType, "Content-Type must be application/json"}
	}
	content, err := io.ReadAll(io.LimitReader(r.Body, maxBodyBytes))
	var body map[string]any
	if err != nil || json.Unmarshal(content, &body) != nil || body == nil {
		return nil, refusedError{http.StatusBadRequest, "the body must be a JSON object"}
	}
	return body, nil
}

func statusOf(err error) int {
	var refused refusedError
	var notFound notFoundError
	switch {
	case errors.As(err, &refused):
		return refused.status
	case errors.As(err, &notFound):
		return http.StatusNotFound
	default:
		return http.StatusBadGateway
	}
}

func messageOf(err error) string {
	var refusedByIVS smithy.APIError
	if statusOf(err) != http.StatusBadGateway {
		return err.Error()
	}
	if errors.As(err, &refusedByIVS) {
		return "IVS refused: " + refusedByIVS.ErrorCode()
	}
	log.Print("IVS cannot be called: ", err)
	return "IVS cannot be called"
}

func errorAnswer(message string) any { return map[string]string{"error": message} }

func (b *backend) send(w http.ResponseWriter, status int, answer any) {
	w.Header().Set("Access-Control-Allow-Origin", b.allowedOrigin)
	w.Header().Set("Access-Control-Allow-Headers", "Content-Type")
	if answer != nil {
		w.Header().Set("Content-Type", "application/json")
	}
	if status == http.StatusRequestEntityTooLarge {
		w.Header().Set("Connection", "close") // instead of reading the body
	}
	w.WriteHeader(status)
	if answer != nil {
		_ = json.NewEncoder(w).Encode(answer) // the client may have gone
	}
}

func main() {
	stages, err := newStages(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	service := &backend{stages: stages, allowedOrigin: cmp.Or(os.Getenv("ALLOWED_ORIGIN"), "http://127.0.0.1:8000")}
	listener, err := net.Listen("tcp", "127.0.0.1:"+cmp.Or(os.Getenv("PORT"), "8001"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("listening on http://%s\n", listener.Addr())
	server := &http.Server{Handler: service.routes(), ReadTimeout: timeout, IdleTimeout: timeout}
	log.Fatal(server.Serve(listener))
}
