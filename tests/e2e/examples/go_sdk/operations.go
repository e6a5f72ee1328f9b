package ivsrealtime

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/ivsrealtime/types"
)

type CreateStageInput struct{ Name *string }

type CreateStageOutput struct{ Stage *types.Stage }

func (c *Client) CreateStage(ctx context.Context, in *CreateStageInput, _ ...func(*Options)) (*CreateStageOutput, error) {
	return invoke[CreateStageOutput](ctx, c, "CreateStage", in)
}

type CreateParticipantTokenInput struct {
	StageArn     *string
	Attributes   map[string]string
	Capabilities []types.ParticipantTokenCapability
	Duration     *int32
	UserId       *string
}

type CreateParticipantTokenOutput struct{ ParticipantToken *types.ParticipantToken }

func (c *Client) CreateParticipantToken(
	ctx context.Context, in *CreateParticipantTokenInput, _ ...func(*Options),
) (*CreateParticipantTokenOutput, error) {
	return invoke[CreateParticipantTokenOutput](ctx, c, "CreateParticipantToken", in)
}

type ListStageSessionsInput struct {
	StageArn   *string
	MaxResults *int32
}

type ListStageSessionsOutput struct{ StageSessions []types.StageSessionSummary }

func (c *Client) ListStageSessions(
	ctx context.Context, in *ListStageSessionsInput, _ ...func(*Options),
) (*ListStageSessionsOutput, error) {
	return invoke[ListStageSessionsOutput](ctx, c, "ListStageSessions", in)
}

type ListStagesInput struct {
	MaxResults *int32
	NextToken  *string
}

type ListStagesOutput struct {
	Stages    []types.StageSummary
	NextToken *string
}

type ListStagesPaginator struct {
	pages
	client *Client
	params ListStagesInput
}

func NewListStagesPaginator(client *Client, params *ListStagesInput) *ListStagesPaginator {
	return &ListStagesPaginator{client: client, params: *params}
}

func (p *ListStagesPaginator) NextPage(ctx context.Context, _ ...func(*Options)) (*ListStagesOutput, error) {
	p.params.NextToken = p.nextToken
	out, err := invoke[ListStagesOutput](ctx, p.client, "ListStages", p.params)
	if err == nil {
		p.turn(out.NextToken)
	}
	return out, err
}

type ListParticipantsInput struct {
	SessionId     *string
	StageArn      *string
	FilterByState types.ParticipantState
	NextToken     *string
}

type ListParticipantsOutput struct {
	Participants []types.ParticipantSummary
	NextToken    *string
}

type ListParticipantsPaginator struct {
	pages
	client *Client
	params ListParticipantsInput
}

func NewListParticipantsPaginator(client *Client, params *ListParticipantsInput) *ListParticipantsPaginator {
	return &ListParticipantsPaginator{client: client, params: *params}
}

func (p *ListParticipantsPaginator) NextPage(
	ctx context.Context, _ ...func(*Options),
) (*ListParticipantsOutput, error) {
	p.params.NextToken = p.nextToken
	out, err := invoke[ListParticipantsOutput](ctx, p.client, "ListParticipants", p.params)
	if err == nil {
		p.turn(out.NextToken)
	}
	return out, err
}

type ListParticipantEventsInput struct {
	ParticipantId *string
	SessionId     *string
	StageArn      *string
	NextToken     *string
}

type ListParticipantEventsOutput struct {
	Events    []types.Event
	NextToken *string
}

type ListParticipantEventsPaginator struct {
	pages
	client *Client
	params ListParticipantEventsInput
}

func NewListParticipantEventsPaginator(
	client *Client, params *ListParticipantEventsInput,
) *ListParticipantEventsPaginator {
	return &ListParticipantEventsPaginator{client: client, params: *params}
}

func (p *ListParticipantEventsPaginator) NextPage(
	ctx context.Context, _ ...func(*Options),
) (*ListParticipantEventsOutput, error) {
	p.params.NextToken = p.nextToken
	out, err := invoke[ListParticipantEventsOutput](ctx, p.client, "ListParticipantEvents", p.params)
	if err == nil {
		p.turn(out.NextToken)
	}
	return out, err
}
