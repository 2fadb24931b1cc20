package ferromq;

import java.util.Collection;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.Map;
import org.apache.rocketmq.client.exception.MQBrokerException;
import org.apache.rocketmq.client.exception.MQClientException;

/** Something that happened, written as one JSON line. */
final class Event {
    private final Map<String, Object> fields = new LinkedHashMap<>();

    private Event(String name) {
        fields.put("event", name);
    }

    static Event of(String name) {
        return new Event(name);
    }

    /** What went wrong, with the broker's response code and remark if it was the broker that said no. */
    static Event failed(Throwable failure) {
        Event event = of("failed").put("error", failure.getClass().getSimpleName());
        if (failure instanceof MQBrokerException) {
            MQBrokerException broker = (MQBrokerException) failure;
            return event.put("code", broker.getResponseCode()).put("remark", broker.getErrorMessage());
        }
        if (failure instanceof MQClientException) {
            MQClientException client = (MQClientException) failure;
            Throwable cause = client.getCause();
            if (cause instanceof MQBrokerException) {
                return failed(cause);
            }
            return event.put("code", client.getResponseCode()).put("remark", client.getErrorMessage());
        }
        return event.put("remark", String.valueOf(failure.getMessage()));
    }

    Event put(String key, Object value) {
        fields.put(key, value);
        return this;
    }

    @Override
    public String toString() {
        StringBuilder line = new StringBuilder();
        write(line, fields);
        return line.toString();
    }

    private static void write(StringBuilder out, Object value) {
        if (value instanceof Map) {
            out.append('{');
            Iterator<? extends Map.Entry<?, ?>> entries = ((Map<?, ?>) value).entrySet().iterator();
            while (entries.hasNext()) {
                Map.Entry<?, ?> entry = entries.next();
                quote(out, String.valueOf(entry.getKey()));
                out.append(':');
                write(out, entry.getValue());
                out.append(entries.hasNext() ? "," : "");
            }
            out.append('}');
        } else if (value instanceof Collection) {
            out.append('[');
            Iterator<?> items = ((Collection<?>) value).iterator();
            while (items.hasNext()) {
                write(out, items.next());
                out.append(items.hasNext() ? "," : "");
            }
            out.append(']');
        } else if (value == null || value instanceof Number || value instanceof Boolean) {
            out.append(value);
        } else {
            quote(out, value.toString());
        }
    }

    private static void quote(StringBuilder out, String text) {
        out.append('"');
        for (char c : text.toCharArray()) {
            if (c == '"' || c == '\\') {
                out.append('\\').append(c);
            } else if (c < 0x20) {
                out.append(String.format("\\u%04x", (int) c));
            } else {
                out.append(c);
            }
        }
        out.append('"');
    }
}
