// What the backend asks of Amazon IVS Real-Time, with the AWS SDK: stages by name, tokens by role, and what participants
// did.

package main

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/ivsrealtime"
	"github.com/aws/aws-sdk-go-v2/service/ivsrealtime/types"
)

const (
	tokenMinutes = 60
	callTimeout  = 10 * time.Second
	timeFormat   = "2006-01-02T15:04:05.000Z"
)

// capabilities say what a user may do on a stage, by the user's role.
var capabilities = map[string][]types.ParticipantTokenCapability{
	"host":   {types.ParticipantTokenCapabilityPublish, types.ParticipantTokenCapabilitySubscribe},
	"viewer": {types.ParticipantTokenCapabilitySubscribe},
}

// notFoundError says that there is no such stage.
type notFoundError struct{ name string }

func (e notFoundError) Error() string { return "there is no stage named " + e.name }

// stages calls Amazon IVS Real-Time. Its methods return notFoundError, or the errors of the SDK.
type stages struct{ client *ivsrealtime.Client }

// newStages lets the SDK find the endpoint, the region and the credentials: AWS_ENDPOINT_URL_IVS_REALTIME, AWS_REGION,
// AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY. Without an endpoint URL it calls AWS.
func newStages(ctx context.Context) (*stages, error) {
	loaded, err := config.LoadDefaultConfig(ctx,
		config.WithHTTPClient(awshttp.NewBuildableClient().WithTimeout(callTimeout)), config.WithRetryMaxAttempts(3))
	if err != nil {
		return nil, fmt.Errorf("load the AWS configuration: %w", err)
	}
	return &stages{client: ivsrealtime.NewFromConfig(loaded)}, nil
}

type stageAnswer struct {
	Name string `json:"name"`
	Arn  string `json:"arn"`
}

// create returns the stage with this name, and whether it is new.
func (s *stages) create(ctx context.Context, name string) (stageAnswer, bool, error) {
	found, err := s.find(ctx, name)
	if err != nil {
		return stageAnswer{}, false, err
	}
	if found != nil {
		return stageAnswer{Name: name, Arn: aws.ToString(found.Arn)}, false, nil
	}
	created, err := s.client.CreateStage(ctx, &ivsrealtime.CreateStageInput{Name: aws.String(name)})
	if err != nil {
		return stageAnswer{}, false, err
	}
	return stageAnswer{Name: name, Arn: aws.ToString(created.Stage.Arn)}, true, nil
}

type tokenAnswer struct {
	Token          string `json:"token"`
	ParticipantID  string `json:"participantId"`
	UserID         string `json:"userId"`
	Role           string `json:"role"`
	ExpirationTime string `json:"expirationTime"`
}

// createToken returns a participant token with which a user joins a stage.
func (s *stages) createToken(ctx context.Context, name, userID, role string) (*tokenAnswer, error) {
	stage, err := s.get(ctx, name)
	if err != nil {
		return nil, err
	}
	created, err := s.client.CreateParticipantToken(ctx, &ivsrealtime.CreateParticipantTokenInput{
		StageArn:     stage.Arn,
		UserId:       aws.String(userID),
		Attributes:   map[string]string{"role": role},
		Capabilities: capabilities[role],
		Duration:     aws.Int32(tokenMinutes),
	})
	if err != nil {
		return nil, err
	}
	token := created.ParticipantToken
	return &tokenAnswer{
		Token:          aws.ToString(token.Token),
		ParticipantID:  aws.ToString(token.ParticipantId),
		UserID:         userID,
		Role:           role,
		ExpirationTime: inUTC(token.ExpirationTime),
	}, nil
}

type participant struct {
	ParticipantID string `json:"participantId"`
	UserID        string `json:"userId"`
	Published     bool   `json:"published"`
	FirstJoinTime string `json:"firstJoinTime"`
}

type participantsAnswer struct {
	SessionID    *string       `json:"sessionId"`
	Participants []participant `json:"participants"`
}

// participants returns who is on a stage now.
func (s *stages) participants(ctx context.Context, name string) (*participantsAnswer, error) {
	stage, err := s.get(ctx, name)
	if err != nil {
		return nil, err
	}
	answer := &participantsAnswer{Participants: []participant{}}
	if aws.ToString(stage.ActiveSessionId) == "" {
		return answer, nil
	}
	answer.SessionID = stage.ActiveSessionId
	pages := ivsrealtime.NewListParticipantsPaginator(s.client, &ivsrealtime.ListParticipantsInput{
		StageArn:      stage.Arn,
		SessionId:     stage.ActiveSessionId,
		FilterByState: types.ParticipantStateConnected,
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, each := range page.Participants {
			answer.Participants = append(answer.Participants, participant{
				ParticipantID: aws.ToString(each.ParticipantId),
				UserID:        aws.ToString(each.UserId),
				Published:     each.Published,
				FirstJoinTime: inUTC(each.FirstJoinTime),
			})
		}
	}
	return answer, nil
}

type event struct {
	Name                string `json:"name"`
	ParticipantID       string `json:"participantId"`
	EventTime           string `json:"eventTime"`
	RemoteParticipantID string `json:"remoteParticipantId,omitempty"`
	ErrorCode           string `json:"errorCode,omitempty"`
}

type eventsAnswer struct {
	SessionID *string `json:"sessionId"`
	Events    []event `json:"events"`
}

// events returns all events of a participant in a session, the newest first. Without a session: in the newest one.
func (s *stages) events(ctx context.Context, name, participantID, sessionID string) (*eventsAnswer, error) {
	stage, err := s.get(ctx, name)
	if err != nil {
		return nil, err
	}
	answer := &eventsAnswer{Events: []event{}}
	if sessionID != "" {
		answer.SessionID = aws.String(sessionID)
	} else if answer.SessionID, err = s.newestSession(ctx, stage.Arn); answer.SessionID == nil {
		return answer, err
	}
	pages := ivsrealtime.NewListParticipantEventsPaginator(s.client, &ivsrealtime.ListParticipantEventsInput{
		StageArn:      stage.Arn,
		SessionId:     answer.SessionID,
		ParticipantId: aws.String(participantID),
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, each := range page.Events {
			answer.Events = append(answer.Events, event{
				Name:                string(each.Name),
				ParticipantID:       aws.ToString(each.ParticipantId),
				EventTime:           inUTC(each.EventTime),
				RemoteParticipantID: aws.ToString(each.RemoteParticipantId),
				ErrorCode:           string(each.ErrorCode),
			})
		}
	}
	return answer, nil
}

// newestSession returns the id of the newest session of a stage, or nil.
func (s *stages) newestSession(ctx context.Context, stageArn *string) (*string, error) {
	newest, err := s.client.ListStageSessions(ctx, &ivsrealtime.ListStageSessionsInput{
		StageArn:   stageArn,
		MaxResults: aws.Int32(1),
	})
	if err != nil || len(newest.StageSessions) == 0 {
		return nil, err
	}
	return newest.StageSessions[0].SessionId, nil
}

func (s *stages) get(ctx context.Context, name string) (*types.StageSummary, error) {
	stage, err := s.find(ctx, name)
	if err == nil && stage == nil {
		err = notFoundError{name}
	}
	return stage, err
}

// find returns the first stage with this name, or nil. An application keeps the ARNs of its stages in its database.
func (s *stages) find(ctx context.Context, name string) (*types.StageSummary, error) {
	pages := ivsrealtime.NewListStagesPaginator(s.client, &ivsrealtime.ListStagesInput{MaxResults: aws.Int32(100)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, stage := range page.Stages {
			if aws.ToString(stage.Name) == name {
				return &stage, nil
			}
		}
	}
	return nil, nil
}

// inUTC returns a time with milliseconds, as 2026-11-28T06:47:42.658Z.
func inUTC(at *time.Time) string { return aws.ToTime(at).UTC().Format(timeFormat) }
