// Search without a server: pages that are opened as files (file:) cannot start workers, so the search runs in a hidden frame
// with the interface of a worker. The theme would load a script for this from another host.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    #frame = document.createElement("iframe");
    #loaded;

    constructor(url) {
      super();
      this.#frame.hidden = true;
      document.body.append(this.#frame);
      const inner = this.#frame.contentWindow;
      window.addEventListener("message", ({ source, data }) => {
        if (source === inner) this.dispatchEvent(new MessageEvent("message", { data }));
      });
      inner.document.open();
      inner.document.write("<!doctype html><body></body>");
      inner.document.close();
      inner.eval("postMessage = (data) => parent.postMessage(data, '*')"); // in the frame, so that it is the source
      inner.importScripts = (...urls) => urls.reduce((ready, each) => ready.then(() => this.#run(each)), Promise.resolve());
      this.#loaded = this.#run(url);
    }

    #run(url) {
      return new Promise((resolve, reject) => {
        const script = this.#frame.contentDocument.createElement("script");
        Object.assign(script, { src: url, onload: resolve, onerror: reject });
        this.#frame.contentDocument.body.append(script);
      });
    }

    postMessage(data) {
      this.#loaded.then(() => this.#frame.contentWindow.dispatchEvent(new MessageEvent("message", { data })));
    }

    terminate() {
      this.#frame.remove();
    }
  };
}
