// Package types has the shapes that the example uses, by the names and types of the published package.
package types

import "time"

type (
	EventErrorCode             string
	EventName                  string
	ParticipantState           string
	ParticipantTokenCapability string
)

const (
	ParticipantStateConnected           ParticipantState           = "CONNECTED"
	ParticipantTokenCapabilityPublish   ParticipantTokenCapability = "PUBLISH"
	ParticipantTokenCapabilitySubscribe ParticipantTokenCapability = "SUBSCRIBE"
)

type Event struct {
	ErrorCode           EventErrorCode
	EventTime           *time.Time
	Name                EventName
	ParticipantId       *string
	RemoteParticipantId *string
}

type ParticipantSummary struct {
	FirstJoinTime *time.Time
	ParticipantId *string
	Published     bool
	UserId        *string
}

type ParticipantToken struct {
	ExpirationTime *time.Time
	ParticipantId  *string
	Token          *string
}

type Stage struct{ Arn *string }

type StageSessionSummary struct{ SessionId *string }

type StageSummary struct{ ActiveSessionId, Arn, Name *string }
