import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.UUID;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;

/**
 * People who redeem keys at a steady rate, each key once, until the time is over.
 *
 * <pre>Load URL KEYS.csv SECONDS RATE strict|patient</pre>
 *
 * Half of them keep their connection, the others open one for each request. A strict load wants 201 at the first
 * try. A patient one does what the answers say: after a 503, or no answer at all, it makes the same request again with
 * the same idempotency key, until the key is redeemed. Prints a line for each failure and one with the sums, and fails if
 * there was a failure.
 */
public final class Load {
    private static final int PEOPLE = 16;
    private static final Duration PATIENCE = Duration.ofSeconds(15);
    private static final long GIVE_UP_NANOS = Duration.ofSeconds(90).toNanos();

    private static final AtomicInteger next = new AtomicInteger();
    private static final AtomicInteger redeemed = new AtomicInteger();
    private static final AtomicInteger retries = new AtomicInteger();
    private static final AtomicInteger failures = new AtomicInteger();
    private static final AtomicLong slowestMillis = new AtomicLong();

    public static void main(String[] args) throws Exception {
        URI redemptions = URI.create(args[0] + "/redemptions");
        List<String> keys = Files.readAllLines(Path.of(args[1])).stream()
            .skip(1).map(line -> line.split(",", 2)[0]).toList();
        long end = System.nanoTime() + Duration.ofSeconds(Long.parseLong(args[2])).toNanos();
        int rate = Integer.parseInt(args[3]);
        boolean patient = args[4].equals("patient");

        Thread[] people = new Thread[PEOPLE];
        for (int i = 0; i < PEOPLE; i++) {
            boolean keeps = i % 2 == 0;
            people[i] = new Thread(() -> redeemAll(redemptions, keys, end, rate, patient, keeps));
            people[i].start();
        }
        for (Thread person : people) {
            person.join();
        }
        System.out.printf("{\"redeemed\": %d, \"retries\": %d, \"failures\": %d, \"slowest_ms\": %d}%n",
            redeemed.get(), retries.get(), failures.get(), slowestMillis.get());
        System.exit(failures.get() == 0 ? 0 : 1);
    }

    private static void redeemAll(URI uri, List<String> keys, long end, int rate, boolean patient, boolean keeps) {
        HttpClient kept = client();
        long pause = Duration.ofSeconds(1).toNanos() * PEOPLE / rate;
        long due = System.nanoTime() + (long) (Math.random() * pause);
        while (System.nanoTime() < end) {
            int index = next.getAndIncrement();
            if (index >= keys.size()) {
                fail(index, "there are no keys left: mint more");
                return;
            }
            sleep(due - System.nanoTime());
            due += pause;
            redeem(keeps ? kept : client(), uri, keys.get(index), index, patient, keeps);
        }
    }

    private static void redeem(HttpClient client, URI uri, String key, int index, boolean patient, boolean keeps) {
        HttpRequest.Builder request = HttpRequest.newBuilder(uri).timeout(PATIENCE)
            .header("Content-Type", "application/json").header("Accept", "application/json")
            .header("Idempotency-Key", UUID.randomUUID().toString())
            .POST(HttpRequest.BodyPublishers.ofString("{\"key\": \"" + key + "\"}"));
        if (!keeps) {
            request.header("Connection", "close");
        }
        long started = System.nanoTime();
        while (true) {
            String said;
            boolean again;
            try {
                HttpResponse<String> answer = client.send(request.build(), HttpResponse.BodyHandlers.ofString());
                if (answer.statusCode() == 201) {
                    redeemed.incrementAndGet();
                    slowestMillis.accumulateAndGet((System.nanoTime() - started) / 1_000_000, Math::max);
                    return;
                }
                said = answer.statusCode() + " " + answer.body();
                again = answer.statusCode() == 503;
            } catch (IOException error) {
                said = error.toString();
                again = true;
            } catch (InterruptedException error) {
                throw new IllegalStateException(error);
            }
            if (!patient || !again || System.nanoTime() - started > GIVE_UP_NANOS) {
                fail(index, said);
                return;
            }
            retries.incrementAndGet();
            sleep(Duration.ofMillis(500).toNanos());
        }
    }

    private static void fail(int index, String said) {
        failures.incrementAndGet();
        System.out.println("FAILED: key " + (index + 1) + ": " + said.strip());
    }

    private static HttpClient client() {
        return HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).connectTimeout(PATIENCE).build();
    }

    private static void sleep(long nanos) {
        if (nanos > 0) {
            try {
                Thread.sleep(nanos / 1_000_000, (int) (nanos % 1_000_000));
            } catch (InterruptedException error) {
                throw new IllegalStateException(error);
            }
        }
    }
}
