import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import org.apache.rocketmq.broker.filter.MessageEvaluationContext;
import org.apache.rocketmq.common.filter.ExpressionType;
import org.apache.rocketmq.common.message.MessageDecoder;
import org.apache.rocketmq.filter.FilterFactory;
import org.apache.rocketmq.filter.expression.Expression;

/**
 * Java's SQL 92 filter behind lines of hexadecimal UTF-8: `E <expression>` is answered by `ok` or `no <words>`,
 * `M <properties of a record>` by what the last expression is for them: `True`, `False`, `Unknown` or `Illegal`.
 */
public final class Filter {
    public static void main(String[] args) throws Exception {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.US_ASCII));
        PrintStream out = new PrintStream(System.out, false, "UTF-8");
        Expression expression = null;
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            String text = text(line.substring(2));
            if (line.charAt(0) == 'E') {
                try {
                    expression = FilterFactory.INSTANCE.get(ExpressionType.SQL92).compile(text);
                    out.println("ok");
                } catch (Exception refusal) {
                    out.println("no " + hex(refusal.getMessage()));
                }
            } else {
                out.println(verdict(expression, MessageDecoder.string2messageProperties(text)));
            }
        }
        out.flush();
    }

    private static String verdict(Expression expression, Map<String, String> properties) {
        try {
            Object value = expression.evaluate(new MessageEvaluationContext(properties));
            return value == null ? "Unknown" : value.equals(Boolean.TRUE) ? "True" : "False";
        } catch (Throwable illegal) {
            return "Illegal";
        }
    }

    private static String text(String hex) {
        byte[] bytes = new byte[hex.length() / 2];
        for (int i = 0; i < bytes.length; i++) {
            bytes[i] = (byte) Integer.parseInt(hex.substring(2 * i, 2 * i + 2), 16);
        }
        return new String(bytes, StandardCharsets.UTF_8);
    }

    private static String hex(String text) {
        StringBuilder hex = new StringBuilder();
        for (byte b : text.getBytes(StandardCharsets.UTF_8)) {
            hex.append(String.format("%02x", b));
        }
        return hex.toString();
    }
}
