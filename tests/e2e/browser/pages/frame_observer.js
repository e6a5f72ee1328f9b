// Counts the different frames that a video element shows.

"use strict";

class FrameObserver {
  constructor(video, stream) {
    this.video = video;
    this.video.srcObject = stream;
    this.frames = new Set();
    this.canvas = new OffscreenCanvas(32, 24);
    this.context = this.canvas.getContext("2d", { willReadFrequently: true });
    this.observeNext();
  }

  get size() {
    return [this.video.videoWidth, this.video.videoHeight];
  }

  // Starts a new count.
  reset() {
    this.frames.clear();
  }

  observeNext() {
    this.video.requestVideoFrameCallback(() => {
      this.observe();
      this.observeNext();
    });
  }

  // Frames are compared at 32 x 24 pixels. A frame of a single colour, such as a black one, is not counted.
  observe() {
    const { width, height } = this.canvas;
    this.context.drawImage(this.video, 0, 0, width, height);
    const { data } = this.context.getImageData(0, 0, width, height);
    const pixels = new Uint32Array(data.buffer);
    if (pixels.some((pixel) => pixel !== pixels[0])) {
      this.frames.add(pixels.join());
    }
  }
}
