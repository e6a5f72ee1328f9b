// Participants with pion, without encoders and decoders: what viewers receive is counted, so many of them cost little.
//
// Commands come as lines of JSON on standard input, and each is answered by a line on standard output:
// {"open": id} makes the offer of a viewer, {"publish": id} that of a publisher of video, {"id": id, "answer": sdp} applies
// the answer, {"report": true} tells the counters, {"protocol": id} the protocol of a connection: udp or tcp.

package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
	"github.com/pion/webrtc/v4/pkg/media"
)

const (
	maxLineBytes  = 1 << 20
	frameInterval = 40 * time.Millisecond
)

// keyframe is one of VP8 with 640x360 pixels. Its picture cannot be decoded.
var keyframe = slices.Concat([]byte{0x10, 0, 0, 0x9d, 1, 0x2a, 0x80, 2, 0x68, 1}, make([]byte, 2_000))

type command struct {
	Open     string `json:"open"`
	Publish  string `json:"publish"`
	ID       string `json:"id"`
	Answer   string `json:"answer"`
	Report   bool   `json:"report"`
	Protocol string `json:"protocol"`
}

// streamReport is what a viewer has received of one track. Retransmitted packets count as received.
type streamReport struct {
	Packets    int    `json:"packets"`
	Missing    int    `json:"missing"`
	Duplicates int    `json:"duplicates"`
	Frames     int    `json:"frames"`
	Sizes      []int  `json:"widths"`
	MaxGapMs   int    `json:"max_gap_ms"`
	State      string `json:"state"`
}

// stream counts the packets of a track.
type stream struct {
	mutex      sync.Mutex
	received   map[uint64]bool
	first      uint64
	newest     uint64
	duplicates int
	frames     int
	widths     []int
	newestTime uint32
	frameAt    time.Time
	maxGap     time.Duration
}

type viewer struct {
	connection *webrtc.PeerConnection
	streams    map[string]*stream
}

func main() {
	viewers := map[string]*viewer{}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, maxLineBytes)
	for lines.Scan() {
		var received command
		must(json.Unmarshal(lines.Bytes(), &received))
		switch {
		case received.Open != "":
			opened, offer := open()
			viewers[received.Open] = opened
			answer(map[string]string{"offer": offer})
		case received.Publish != "":
			opened, offer := publish()
			viewers[received.Publish] = opened
			answer(map[string]string{"offer": offer})
		case received.Protocol != "":
			answer(map[string]string{"protocol": protocol(viewers[received.Protocol].connection)})
		case received.Answer != "":
			description := webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: received.Answer}
			must(viewers[received.ID].connection.SetRemoteDescription(description))
			answer(map[string]string{})
		case received.Report:
			answer(report(viewers))
		}
	}
	for _, each := range viewers {
		must(each.connection.Close())
	}
}

// connect makes a connection without media.
func connect() *webrtc.PeerConnection {
	settings := webrtc.SettingEngine{}
	settings.SetIncludeLoopbackCandidate(true)
	// Without this, pion uses no TCP.
	settings.SetNetworkTypes([]webrtc.NetworkType{
		webrtc.NetworkTypeUDP4, webrtc.NetworkTypeUDP6, webrtc.NetworkTypeTCP4, webrtc.NetworkTypeTCP6,
	})
	connection, err := webrtc.NewAPI(webrtc.WithSettingEngine(settings)).NewPeerConnection(webrtc.Configuration{})
	must(err)
	return connection
}

// offerOf makes the offer of a connection with all candidates.
func offerOf(connection *webrtc.PeerConnection) string {
	offer, err := connection.CreateOffer(nil)
	must(err)
	gathered := webrtc.GatheringCompletePromise(connection)
	must(connection.SetLocalDescription(offer))
	<-gathered
	return connection.LocalDescription().SDP
}

// publish makes a connection that sends keyframes, and its offer.
func publish() (*viewer, string) {
	connection := connect()
	track, err := webrtc.NewTrackLocalStaticSample(
		webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8}, "video", "pion")
	must(err)
	sender, err := connection.AddTrack(track)
	must(err)
	go func() {
		// Reading lets pion answer the requests for packets.
		for buffer := make([]byte, 1_500); ; {
			if _, _, err := sender.Read(buffer); err != nil {
				return
			}
		}
	}()
	go func() {
		for range time.Tick(frameInterval) {
			if track.WriteSample(media.Sample{Data: keyframe, Duration: frameInterval}) != nil {
				return
			}
		}
	}()
	return &viewer{connection: connection, streams: map[string]*stream{}}, offerOf(connection)
}

// protocol tells over which protocol a connection sends: udp or tcp; empty before it is connected.
func protocol(connection *webrtc.PeerConnection) string {
	transceiver := connection.GetTransceivers()[0]
	transport := transceiver.Receiver().Transport()
	if sender := transceiver.Sender(); sender != nil {
		transport = sender.Transport()
	}
	pair, err := transport.ICETransport().GetSelectedCandidatePair()
	if err != nil || pair == nil {
		return ""
	}
	return pair.Local.Protocol.String()
}

// open makes a connection that receives audio and video, and its offer.
func open() (*viewer, string) {
	connection := connect()
	opened := &viewer{connection: connection, streams: map[string]*stream{"audio": newStream(), "video": newStream()}}
	for _, kind := range []webrtc.RTPCodecType{webrtc.RTPCodecTypeAudio, webrtc.RTPCodecTypeVideo} {
		_, err := connection.AddTransceiverFromKind(
			kind, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly})
		must(err)
	}
	connection.OnTrack(func(track *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
		counted := opened.streams[track.Kind().String()]
		for {
			packet, _, err := track.ReadRTP()
			if err != nil {
				return
			}
			counted.take(packet, track.Codec().MimeType, time.Now())
		}
	})
	return opened, offerOf(connection)
}

func newStream() *stream { return &stream{received: map[uint64]bool{}} }

// take counts a packet. A frame begins with each new timestamp.
func (s *stream) take(packet *rtp.Packet, codec string, now time.Time) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	number := s.extended(packet.SequenceNumber)
	if s.received[number] {
		s.duplicates++
		return
	}
	s.received[number] = true
	s.newest = max(s.newest, number)
	if width := vp8Width(packet.Payload); codec == webrtc.MimeTypeVP8 && width > 0 {
		if len(s.widths) == 0 || s.widths[len(s.widths)-1] != width {
			s.widths = append(s.widths, width)
		}
	}
	if packet.Timestamp != s.newestTime && (s.frames == 0 || int32(packet.Timestamp-s.newestTime) > 0) {
		if s.frames > 0 {
			s.maxGap = max(s.maxGap, now.Sub(s.frameAt))
		}
		s.newestTime, s.frameAt = packet.Timestamp, now
		s.frames++
	}
}

// extended continues the 16-bit numbers of the packets beyond their range.
func (s *stream) extended(sequence uint16) uint64 {
	if len(s.received) == 0 {
		s.first = uint64(sequence) + 1<<16
		s.newest = s.first
		return s.first
	}
	return uint64(int64(s.newest) + int64(int16(sequence-uint16(s.newest))))
}

// vp8Width returns the width that the first packet of a VP8 keyframe tells (RFC 7741), or 0.
func vp8Width(payload []byte) int {
	if len(payload) < 1 || payload[0]&0x10 == 0 || payload[0]&0x07 != 0 {
		return 0
	}
	at := 1
	if payload[0]&0x80 != 0 && len(payload) > 2 {
		extensions := payload[1]
		at = 2
		if extensions&0x80 != 0 {
			if payload[2]&0x80 != 0 {
				at++
			}
			at++
		}
		if extensions&0x40 != 0 {
			at++
		}
		if extensions&0x30 != 0 {
			at++
		}
	}
	if len(payload) < at+8 || payload[at]&1 != 0 {
		return 0
	}
	return int(payload[at+6]) | int(payload[at+7]&0x3f)<<8
}

// report tells the counters of all viewers, and begins new ones for the longest gap.
func report(viewers map[string]*viewer) map[string]map[string]streamReport {
	reports := map[string]map[string]streamReport{}
	for id, each := range viewers {
		reports[id] = map[string]streamReport{}
		for kind, counted := range each.streams {
			counted.mutex.Lock()
			reports[id][kind] = streamReport{
				Packets:    len(counted.received),
				Missing:    int(counted.newest-counted.first) + min(1, len(counted.received)) - len(counted.received),
				Duplicates: counted.duplicates,
				Frames:     counted.frames,
				Sizes:      append([]int{}, counted.widths...),
				MaxGapMs:   int(counted.maxGap.Milliseconds()),
				State:      each.connection.ConnectionState().String(),
			}
			counted.maxGap = 0
			counted.mutex.Unlock()
		}
	}
	return reports
}

func answer(value any) {
	encoded, err := json.Marshal(value)
	must(err)
	fmt.Println(string(encoded))
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
