// The link to the server: the token, what is asked, and the stream, which is begun again when it breaks off.

const KEPT_TOKEN = "supervise.token", KEPT_WHO = "supervise.who";
const SILENCE = 20; // seconds: a stream says something each 5
const FIRST_PAUSE = 0.5, LONGEST_PAUSE = 10; // seconds before it is tried again
const NEW_ADDRESS = "open the whole address that the server printed: it ends in #token=…";

const kept = {
  get(key) {
    try {
      return sessionStorage.getItem(key) ?? "";
    } catch {
      return "";
    }
  },
  set(key, value) {
    try {
      sessionStorage.setItem(key, value);
    } catch {
      // then it isn't kept
    }
  },
};

class Refusal extends Error {
  constructor(status, text) {
    super(text);
    this.status = status;
  }
}

class Link {
  constructor(hear) {
    this.hear = hear; // (kind, data), of each part of the stream
    this.state = "connecting"; // live, lost, missing (there is no token), refused, old (neither is tried again)
    this.text = "";
    this.heard = 0; // when it last said anything
    this.retry = 0; // when it is tried again
    this.token = "";
    this.run = null;
    this.wake = null;
  }

  // Takes the token from the address, and out of it and of the history.
  takeToken() {
    const given = new URLSearchParams(location.hash.slice(1)).get("token");
    if (location.hash) history.replaceState(null, "", location.pathname + location.search);
    if (given) kept.set(KEPT_TOKEN, given);
    this.token = (given || kept.get(KEPT_TOKEN)).replace(/[^\x21-\x7e]/g, "?"); // else it is no header's value
    return Boolean(given);
  }

  async fetch(what, options, signal) {
    const headers = { Authorization: `Bearer ${this.token}` };
    if (options.body) headers["Content-Type"] = "application/json";
    const fixed = { headers, cache: "no-store", credentials: "omit", redirect: "error", signal };
    const response = await fetch(`live/${what}`, { ...options, ...fixed });
    if (response.ok) return response;
    let text = `the server answers ${response.status}`;
    try {
      text = (await response.json()).error || text;
    } catch {
      // it isn't one of ours
    }
    throw new Refusal(response.status, text);
  }

  async ask(what, query = {}) {
    return (await this.fetch(`${what}?${new URLSearchParams(query)}`, {}, AbortSignal.timeout(SILENCE * 1000))).json();
  }

  async act(name, wish) {
    return (await this.fetch(name, { method: "POST", body: JSON.stringify(wish) })).json();
  }

  // Begins, or begins anew.
  start() {
    this.run?.abort();
    this.run = new AbortController();
    void this.go(this.run);
  }

  // For good: it isn't tried again.
  end(state, text) {
    this.run?.abort();
    this.say(state, text);
  }

  // Doesn't wait any longer until it is tried again.
  now() {
    this.wake?.();
  }

  say(state, text = "") {
    [this.state, this.text] = [state, text];
    this.hear("link", null);
  }

  async go(run) {
    let pause = FIRST_PAUSE;
    while (!run.signal.aborted) {
      if (!this.token) return this.say("missing");
      let text = "the stream broke off";
      try {
        await this.follow(run, () => (pause = FIRST_PAUSE));
      } catch (error) {
        if (run.signal.aborted) return;
        if (error instanceof Refusal) {
          text = error.message;
          if (error.status === 401 || error.status === 403) return this.say("refused", text);
        } else if (this.state !== "live") text = "nobody answers";
      }
      if (run.signal.aborted) return;
      this.retry = performance.now() + pause * 1000;
      this.say("lost", text);
      await new Promise((done) => {
        this.wake = done;
        setTimeout(done, pause * 1000);
      });
      pause = Math.min(LONGEST_PAUSE, pause * 2);
    }
  }

  // A fault of the page's own is no fault of the stream.
  tell(kind, data) {
    try {
      this.hear(kind, data);
    } catch (error) {
      reportError(error);
    }
  }

  async follow(run, good) {
    const attempt = new AbortController();
    const end = () => attempt.abort();
    run.signal.addEventListener("abort", end);
    this.heard = performance.now();
    const guard = setInterval(() => {
      if (performance.now() - this.heard > SILENCE * 1000) end();
    }, 1000);
    try {
      const response = await this.fetch("stream?every=1", {}, attempt.signal);
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      let text = "";
      for (;;) {
        const { done, value } = await reader.read();
        if (done || run.signal.aborted) return;
        this.heard = performance.now();
        text += value;
        if (!value.includes("\n")) continue;
        const parts = text.split("\n\n");
        text = parts.pop();
        for (const each of parts) {
          const lines = each.split("\n");
          const kind = lines.find((line) => line.startsWith("event: ")), data = lines.find((line) => line.startsWith("data: "));
          if (kind === undefined || data === undefined) continue;
          this.state = "live";
          good();
          this.tell(kind.slice(7), JSON.parse(data.slice(6)));
        }
      }
    } finally {
      clearInterval(guard);
      run.signal.removeEventListener("abort", end);
      end();
    }
  }
}
