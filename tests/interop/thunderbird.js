// What the test does in Thunderbird; each function is run in the context of the program itself.
const { MailServices } = ChromeUtils.importESModule("resource:///modules/MailServices.sys.mjs");

const sleep = milliseconds => new Promise(resolve => setTimeout(resolve, milliseconds));

async function until(look, what) {
  for (let turn = 0; turn < 1100; turn++) {
    const value = look();
    if (value) {
      return value;
    }
    await sleep(50);
  }
  throw new Error(`it never came to this: ${what}`);
}

function done(start) {
  return new Promise((resolve, reject) => {
    start({
      QueryInterface: ChromeUtils.generateQI(["nsIUrlListener"]),
      OnStartRunningUrl() {},
      OnStopRunningUrl(url, status) {
        Components.isSuccessCode(status) ? resolve() : reject(new Error(`status ${status}`));
      },
    });
  });
}

const account = () => MailServices.accounts.accounts.find(each => each.incomingServer.type == "imap");
const root = () => account().incomingServer.rootFolder;
const folder = name => root().descendants.find(each => each.name.toLowerCase() == name.toLowerCase());
const update = each =>
  done(listener => each.QueryInterface(Ci.nsIMsgImapMailFolder).updateFolderWithListener(null, listener));
const messages = each => [...each.messages];

const actions = {
  async begin({ email, password, host, port, certificate }) {
    const database = Cc["@mozilla.org/security/x509certdb;1"].getService(Ci.nsIX509CertDB);
    const trusted = database.constructX509FromBase64(certificate);
    Cc["@mozilla.org/security/certoverride;1"]
      .getService(Ci.nsICertOverrideService)
      .rememberValidityOverride(host, port, {}, trusted, false);
    const login = Cc["@mozilla.org/login-manager/loginInfo;1"].createInstance(Ci.nsILoginInfo);
    login.init(`imap://${host}`, null, `imap://${host}`, email, password, "", "");
    await Services.logins.addLoginAsync(login);
    const server = MailServices.accounts.createIncomingServer(email, host, "imap");
    server.port = port;
    server.socketType = Ci.nsMsgSocketType.SSL;
    server.authMethod = Ci.nsMsgAuthMethod.passwordCleartext;
    server.doBiff = false;
    server.QueryInterface(Ci.nsIImapIncomingServer).useIdle = true;
    const made = MailServices.accounts.createAccount();
    const identity = MailServices.accounts.createIdentity();
    identity.email = email;
    made.addIdentity(identity);
    made.incomingServer = server;
    await update(folder("INBOX"));
    await until(() => folder("Archive") && folder("Trash"), "the folders are listed");
    return root().descendants.map(each => each.name).sort();
  },

  async list({ name, count }) {
    const inbox = folder(name);
    await update(inbox);
    await until(() => messages(inbox).length == count, `${count} messages in ${name}`);
    return messages(inbox).map(each => ({
      subject: each.mime2DecodedSubject,
      author: each.mime2DecodedAuthor,
      read: each.isRead,
      flagged: each.isFlagged,
    }));
  },

  async read({ name, subject }) {
    const header = messages(folder(name)).find(each => each.mime2DecodedSubject == subject);
    const uri = folder(name).getUriForMsg(header);
    return await new Promise((resolve, reject) => {
      let text = "";
      const listener = {
        QueryInterface: ChromeUtils.generateQI(["nsIStreamListener"]),
        onStartRequest() {},
        onDataAvailable(request, stream, offset, count) {
          const readable = Cc["@mozilla.org/scriptableinputstream;1"].createInstance(Ci.nsIScriptableInputStream);
          readable.init(stream);
          text += readable.read(count);
        },
        onStopRequest(request, status) {
          Components.isSuccessCode(status) ? resolve(text) : reject(new Error(`status ${status}`));
        },
      };
      MailServices.messageServiceFromURI(uri).streamMessage(uri, listener, null, null, false, "", false);
    });
  },

  async mark({ name, subject }) {
    const inbox = folder(name);
    const header = messages(inbox).find(each => each.mime2DecodedSubject == subject);
    inbox.markMessagesFlagged([header], true);
    inbox.markMessagesRead([header], true);
    inbox.addKeywordsToMessages([header], "$label1");
  },

  async move({ name, subject, target }) {
    const inbox = folder(name);
    const header = messages(inbox).find(each => each.mime2DecodedSubject == subject);
    MailServices.copy.copyMessages(inbox, [header], folder(target), true, null, null, false);
    for (let turn = 0; turn < 100; turn++) {
      await update(folder(target));
      if (messages(folder(target)).some(each => each.mime2DecodedSubject == subject)) {
        return;
      }
      await sleep(100);
    }
    throw new Error(`the message never came to ${target}`);
  },

  // Nobody asks the server for anything here: Thunderbird idles in the folder that it read last.
  async hear({ name, subject }) {
    await until(
      () => messages(folder(name)).some(each => each.mime2DecodedSubject == subject),
      "the server has told of new mail"
    );
  },
};
