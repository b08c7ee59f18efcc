/* Clarion: sends page views. No cookie unless the tag has data-cookie; nothing at all with GPC. */
(function (w, d, n, s) {
  if (!s || w.clarion) return;
  var key = s.getAttribute("data-key"), home = new URL(s.src).origin, kept = s.hasAttribute("data-cookie"),
    off = n.globalPrivacyControl, seen, user;
  function uuid() {
    if (w.crypto && crypto.randomUUID) return crypto.randomUUID();
    return Date.now().toString(36) + Math.random().toString(36).slice(2);
  }
  function visitor() {
    if (!kept) return;
    var found = d.cookie.match(/(?:^|; )_clarion=([^;]+)/), id = found ? found[1] : uuid();
    d.cookie = "_clarion=" + id + ";path=/;max-age=31536000;SameSite=Lax" + (location.protocol == "https:" ? ";Secure" : "");
    return id;
  }
  function send(path, message) {
    if (off || !key) return;
    message.writeKey = key;
    message.messageId = uuid();
    message.timestamp = new Date().toISOString();
    message.sentAt = message.timestamp;
    message.anonymousId = visitor();
    if (user) message.userId = user;
    message.context = {
      locale: n.language,
      page: { url: location.href, path: location.pathname, title: d.title, referrer: d.referrer },
      library: { name: "t.js", version: "1" },
    };
    fetch(home + "/v1/" + path, {
      method: "POST", body: JSON.stringify(message), keepalive: true, mode: "cors", credentials: "omit",
      headers: { "Content-Type": "text/plain" },
    }).catch(function () {});
  }
  function page() {
    if (seen == location.href) return;
    seen = location.href;
    send("p", { properties: { url: seen, title: d.title } });
  }
  ["pushState", "replaceState"].forEach(function (name) {
    var own = history[name];
    history[name] = function () {
      var done = own.apply(this, arguments);
      setTimeout(page);
      return done;
    };
  });
  w.addEventListener("popstate", page);
  w.clarion = {
    page: page,
    track: function (event, properties) { send("t", { event: event, properties: properties || {} }); },
    identify: function (id, traits) { user = id; send("i", { traits: traits || {} }); },
    allowCookie: function () { kept = true; },
  };
  page();
})(window, document, navigator, document.currentScript);
