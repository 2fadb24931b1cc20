package ferromq;

import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.OutputStream;
import java.io.PrintStream;
import java.io.UnsupportedEncodingException;

/** Where a role tells what happened: a line each, from any thread. */
final class Events {
    private final PrintStream out;

    Events(OutputStream out) {
        try {
            this.out = new PrintStream(out, false, "UTF-8");
        } catch (UnsupportedEncodingException impossible) {
            throw new IllegalStateException(impossible);
        }
    }

    /** The real stdout, whatever becomes of System.out and whatever the locale's encoding is. */
    static Events onStdout() {
        return new Events(new FileOutputStream(FileDescriptor.out));
    }

    synchronized void send(Event event) {
        out.println(event);
        out.flush();
    }
}
