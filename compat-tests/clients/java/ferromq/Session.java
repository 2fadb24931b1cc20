package ferromq;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;

/** The life of one role: commands come as lines, and each is answered by `done`. The end of input is the same as `quit`. */
final class Session {
    /** A client of one kind. */
    interface Role {
        void start() throws Exception;

        /** Does what one command line says. */
        void command(Line line) throws Exception;

        void stop() throws Exception;
    }

    private final BufferedReader in;
    private final Events events;

    Session(InputStream in, Events events) {
        this.in = new BufferedReader(new InputStreamReader(in, StandardCharsets.UTF_8));
        this.events = events;
    }

    /** With the role in the first line. */
    void run() throws Exception {
        String arguments = in.readLine();
        if (arguments != null) {
            run(Line.of(arguments));
        }
    }

    /** False if the role did not start. */
    boolean run(Line arguments) throws Exception {
        Role role = role(arguments);
        try {
            role.start();
        } catch (Throwable failure) {
            events.send(Event.failed(failure));
            return false;
        }
        events.send(Event.of("ready"));
        try {
            for (String text = in.readLine(); text != null && !text.equals("quit"); text = in.readLine()) {
                Line line = Line.of(text);
                try {
                    role.command(line);
                } catch (Throwable failure) {
                    events.send(Event.failed(failure));
                }
                events.send(Event.of("done").put("id", line.number("id", 0)));
            }
        } catch (IOException gone) {
            // A test that failed hangs up without a word; the role leaves the cluster all the same.
        }
        role.stop();
        events.send(Event.of("stopped"));
        return true;
    }

    private Role role(Line arguments) {
        switch (arguments.verb) {
            case "producer":
                return new Producer(arguments, events);
            case "push":
                return new PushConsumer(arguments, events);
            case "pull":
                return new PullConsumer(arguments, events);
            case "light":
                return new LightConsumer(arguments, events);
            default:
                throw new IllegalArgumentException("unknown role " + arguments.verb);
        }
    }
}
