package ferromq;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.net.ServerSocket;
import java.net.Socket;

/**
 * `Main <role> key=value …` is one client role, which takes its commands on stdin and tells its events on stdout.
 *
 * `Main host` is any number of them, each over a connection of its own to the port that it tells: the first line there is
 * the role. It spares a JVM per client. It ends with stdin, so that it never outlives the test.
 */
public final class Main {
    public static void main(String[] args) throws Exception {
        Events events = Events.onStdout();
        if (args[0].equals("host")) {
            ServerSocket server = new ServerSocket(0);
            Thread acceptor = new Thread(() -> accept(server), "acceptor");
            acceptor.start();
            events.send(Event.of("listening").put("port", server.getLocalPort()));
            untilEnd(System.in);
            System.exit(0);
        }
        boolean started = new Session(System.in, events).run(Line.ofArguments(args));
        // Client threads that are not daemons must not keep the process.
        System.exit(started ? 0 : 1);
    }

    private static void accept(ServerSocket server) {
        try {
            for (int number = 1; ; number++) {
                Socket socket = server.accept();
                new Thread(() -> serve(socket), "role-" + number).start();
            }
        } catch (IOException failure) {
            throw new UncheckedIOException(failure);
        }
    }

    private static void serve(Socket socket) {
        try (Socket open = socket) {
            new Session(open.getInputStream(), new Events(open.getOutputStream())).run();
        } catch (Exception failure) {
            // The test sees its connection end; why is in the kept stderr.
            failure.printStackTrace();
        }
    }

    private static void untilEnd(InputStream in) throws IOException {
        while (in.read() >= 0) {
            // Nobody says anything here.
        }
    }
}
