package ferromq;

import java.io.BufferedReader;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.io.UncheckedIOException;
import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import org.apache.rocketmq.tools.admin.DefaultMQAdminExt;
import org.apache.rocketmq.tools.command.MQAdminStartup;

/**
 * The stock mqadmin, kept running: each stdin line holds the percent-encoded arguments of one run, each answer is an
 * `output` event with what the tool printed. It saves a JVM start per command and changes nothing else, but for
 * `resumeCheckHalfMessage topic messageId`, which is in the tool's library and has no command.
 */
public final class Admin extends MQAdminStartup {
    public static void main(String[] args) {
        try {
            serve();
        } catch (IOException failure) {
            throw new UncheckedIOException(failure);
        }
        System.exit(0);
    }

    private static void serve() throws IOException {
        Events events = Events.onStdout();
        events.send(Event.of("ready"));
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String text = in.readLine(); text != null && !text.equals("quit"); text = in.readLine()) {
            String[] words = text.split(" ");
            for (int i = 0; i < words.length; i++) {
                words[i] = URLDecoder.decode(words[i].replace("+", "%2B"), "UTF-8");
            }
            ByteArrayOutputStream out = new ByteArrayOutputStream();
            ByteArrayOutputStream err = new ByteArrayOutputStream();
            System.setOut(new PrintStream(out, true, "UTF-8"));
            System.setErr(new PrintStream(err, true, "UTF-8"));
            // Commands such as sendMessage keep a client that works once, so each run gets new ones.
            SUB_COMMANDS.clear();
            if (words[0].equals("resumeCheckHalfMessage")) {
                resume(words[1], words[2]);
            } else {
                main0(words, null);
            }
            System.out.flush();
            System.err.flush();
            events.send(Event.of("output").put("out", out.toString("UTF-8")).put("err", err.toString("UTF-8")));
        }
    }

    private static void resume(String topic, String messageId) {
        DefaultMQAdminExt admin = new DefaultMQAdminExt();
        try {
            admin.start();
            System.out.println(admin.resumeCheckHalfMessage(topic, messageId));
        } catch (Exception failure) {
            System.err.println(failure);
        } finally {
            admin.shutdown();
        }
    }
}
