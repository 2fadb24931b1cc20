package ferromq;

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;

/**
 * One client role per process: `Main <role> key=value …`. Commands come as lines on stdin, events leave as
 * JSON lines on stdout. The end of stdin is the same as `quit`, so a client never outlives the test.
 */
public final class Main {
    /** What a role does with one command line; answered by a `done` event. */
    interface Role {
        void start() throws Exception;

        void command(Line line) throws Exception;

        void stop() throws Exception;
    }

    public static void main(String[] args) throws Exception {
        Line arguments = Line.ofArguments(args);
        Role role = role(arguments);
        try {
            role.start();
        } catch (Throwable failure) {
            Event.failed(failure).send();
            System.exit(1);
        }
        Event.of("ready").send();

        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String text = in.readLine(); text != null; text = in.readLine()) {
            Line line = Line.of(text);
            if (line.verb.equals("quit")) {
                break;
            }
            try {
                role.command(line);
            } catch (Throwable failure) {
                Event.failed(failure).send();
            }
            Event.of("done").put("id", line.number("id", 0)).send();
        }
        role.stop();
        Event.of("stopped").send();
        // Client threads that are not daemons must not keep the process.
        System.exit(0);
    }

    private static Role role(Line arguments) {
        switch (arguments.verb) {
            case "producer":
                return new Producer(arguments);
            case "push":
                return new PushConsumer(arguments);
            case "pull":
                return new PullConsumer(arguments);
            default:
                throw new IllegalArgumentException("unknown role " + arguments.verb);
        }
    }
}
