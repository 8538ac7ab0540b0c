// Sends what test_nodemailer.py wants: a JSON object on standard input, one line of JSON for each message on standard output.
const nodemailer = require(process.env.NODEMAILER);

let input = "";
process.stdin.on("data", (chunk) => (input += chunk));
process.stdin.on("end", async () => {
  const { transport, messages } = JSON.parse(input);
  const transporter = nodemailer.createTransport(transport);
  const send = async (message) => {
    try {
      const { accepted, rejected, response } = await transporter.sendMail(message);
      return { accepted, rejected, response };
    } catch (error) {
      return { error: error.message, code: error.responseCode || 0 };
    }
  };
  for (const result of await Promise.all(messages.map(send))) {
    console.log(JSON.stringify(result));
  }
  transporter.close();
});
