// What is to be seen on the page's screen.

"use strict";

class Screen {
  constructor(video, stream) {
    this.video = video;
    this.video.srcObject = stream;
    this.pictures = new Set();
    this.canvas = new OffscreenCanvas(32, 24);
    this.context = this.canvas.getContext("2d", { willReadFrequently: true });
    this.watch();
  }

  get size() {
    return [this.video.videoWidth, this.video.videoHeight];
  }

  // Begins to count the different pictures anew.
  blink() {
    this.pictures.clear();
  }

  watch() {
    this.video.requestVideoFrameCallback(() => {
      this.look();
      this.watch();
    });
  }

  // A picture of one colour is none.
  look() {
    const { width, height } = this.canvas;
    this.context.drawImage(this.video, 0, 0, width, height);
    const { data } = this.context.getImageData(0, 0, width, height);
    const pixels = new Uint32Array(data.buffer);
    if (pixels.some((pixel) => pixel !== pixels[0])) {
      this.pictures.add(pixels.join());
    }
  }
}
