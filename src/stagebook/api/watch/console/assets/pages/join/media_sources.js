// What a browser can publish: a camera, its screen, or a generated picture. SPDX-License-Identifier: Apache-2.0

const WIDTH = 1280;
const HEIGHT = 720;
const FRAMES_PER_SECOND = 25;
const TONE_HERTZ = 440;
const TONE_GAIN = 0.05;
const COLORS = ["#c0c0c0", "#c0c000", "#00c0c0", "#00c000", "#c000c0", "#c00000", "#0000c0"];

export const SOURCES = {
	picture: { label: "Test picture", hint: "colour bars with a clock, and a quiet tone" },
	camera: { label: "Camera and microphone", hint: "" },
	screen: { label: "Screen", hint: "a screen, a window or a tab" },
	none: { label: "Nothing", hint: "watch only" },
};

// The chosen source, null for "none": { stream, stop(), onEnded(listener) }. Throws an Error with words for people.
export async function openSource(name) {
	if (name === "none") return null;
	if (name === "picture") return testPicture();
	if (!navigator.mediaDevices) {
		throw new Error("The browser gives the camera and the screen only to pages from https:// or from this machine (localhost). Publish the test picture, or open the console over https.");
	}
	const open = name === "camera"
		? () => navigator.mediaDevices.getUserMedia({ audio: true, video: { width: WIDTH, height: HEIGHT } })
		: () => navigator.mediaDevices.getDisplayMedia({ video: true, audio: true });
	try {
		return ofStream(await open());
	} catch (error) {
		throw new Error(TEXTS[error.name] ?? `The browser does not give the ${name}: ${error.message}`);
	}
}

const TEXTS = {
	NotAllowedError: "The browser was not allowed to use it. Allow it in the browser's address bar, then join again.",
	NotFoundError: "There is no camera or no microphone on this device.",
	NotReadableError: "Another program uses the camera or the microphone. Close it, then join again.",
};

function ofStream(stream, stopMore = () => {}) {
	return {
		stream,
		stop: () => {
			for (const track of stream.getTracks()) track.stop();
			stopMore();
		},
		// The user may end the sharing of a screen in the browser's own controls.
		onEnded: (listener) => stream.getVideoTracks()[0]?.addEventListener("ended", listener),
	};
}

function testPicture() {
	const canvas = Object.assign(document.createElement("canvas"), { width: WIDTH, height: HEIGHT });
	const context = canvas.getContext("2d");
	const draw = () => drawPicture(context, new Date());
	draw();
	const timer = setInterval(draw, 1000 / FRAMES_PER_SECOND);
	const stream = canvas.captureStream(FRAMES_PER_SECOND);
	const audio = new AudioContext();
	const tone = new OscillatorNode(audio, { frequency: TONE_HERTZ });
	const output = audio.createMediaStreamDestination();
	tone.connect(new GainNode(audio, { gain: TONE_GAIN })).connect(output);
	tone.start();
	for (const track of output.stream.getAudioTracks()) stream.addTrack(track);
	return ofStream(stream, () => {
		clearInterval(timer);
		audio.close();
	});
}

function drawPicture(context, now) {
	const width = WIDTH / COLORS.length;
	COLORS.forEach((color, index) => {
		context.fillStyle = color;
		context.fillRect(index * width, 0, width + 1, HEIGHT);
	});
	context.fillStyle = "#101014";
	context.fillRect(0, HEIGHT * 0.72, WIDTH, HEIGHT * 0.28);
	context.fillStyle = "#fff";
	context.fillRect(((now.getTime() % 4_000) / 4_000) * WIDTH, HEIGHT * 0.72, 12, HEIGHT * 0.28);
	context.font = `600 ${HEIGHT * 0.12}px monospace`;
	context.textAlign = "center";
	context.fillText(now.toISOString().slice(11, 22), WIDTH / 2, HEIGHT * 0.9);
}
