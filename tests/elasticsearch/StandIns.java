import java.io.IOException;
import java.util.Collection;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Predicate;
import java.util.function.Supplier;
import java.util.regex.Pattern;

import org.apache.lucene.analysis.FilteringTokenFilter;
import org.apache.lucene.analysis.TokenStream;
import org.apache.lucene.analysis.Tokenizer;
import org.apache.lucene.analysis.email.UAX29URLEmailTokenizer;
import org.apache.lucene.analysis.pattern.PatternCaptureGroupTokenFilter;
import org.apache.lucene.analysis.tokenattributes.CharTermAttribute;
import org.apache.lucene.util.Version;
import org.elasticsearch.Build;
import org.elasticsearch.client.internal.node.NodeClient;
import org.elasticsearch.cluster.metadata.IndexNameExpressionResolver;
import org.elasticsearch.cluster.node.DiscoveryNodes;
import org.elasticsearch.cluster.service.ClusterService;
import org.elasticsearch.common.io.stream.NamedWriteableRegistry;
import org.elasticsearch.common.settings.ClusterSettings;
import org.elasticsearch.common.settings.IndexScopedSettings;
import org.elasticsearch.common.settings.Settings;
import org.elasticsearch.common.settings.SettingsFilter;
import org.elasticsearch.features.NodeFeature;
import org.elasticsearch.index.IndexSettings;
import org.elasticsearch.index.analysis.AbstractTokenFilterFactory;
import org.elasticsearch.index.analysis.AbstractTokenizerFactory;
import org.elasticsearch.index.analysis.TokenFilterFactory;
import org.elasticsearch.index.analysis.TokenizerFactory;
import org.elasticsearch.indices.analysis.AnalysisModule.AnalysisProvider;
import org.elasticsearch.node.Node;
import org.elasticsearch.plugins.ActionPlugin;
import org.elasticsearch.plugins.AnalysisPlugin;
import org.elasticsearch.plugins.Plugin;
import org.elasticsearch.rest.BaseRestHandler;
import org.elasticsearch.rest.RestController;
import org.elasticsearch.rest.RestHandler;
import org.elasticsearch.rest.RestRequest;
import org.elasticsearch.rest.RestResponse;
import org.elasticsearch.rest.RestStatus;
import org.elasticsearch.xcontent.XContentBuilder;

/**
 * What a server cannot do without of the modules that are not published as artifacts.
 *
 * <p>Of rest-root: what a server answers at its root, where clients look for its version. Of analysis-common: the two
 * filters and the tokenizer in the settings of the index where security keeps users and API keys. Nothing that tickey
 * relies on in its own index comes from here.
 */
public final class StandIns extends Plugin implements ActionPlugin, AnalysisPlugin {
    private volatile ClusterService cluster;

    @Override
    public Collection<?> createComponents(PluginServices services) {
        cluster = services.clusterService();
        return List.of();
    }

    @Override
    public Collection<RestHandler> getRestHandlers(Settings settings, NamedWriteableRegistry registry,
            RestController controller, ClusterSettings clusterSettings, IndexScopedSettings indexSettings,
            SettingsFilter filter, IndexNameExpressionResolver resolver, Supplier<DiscoveryNodes> nodes,
            Predicate<NodeFeature> features) {
        return List.of(new Root(Node.NODE_NAME_SETTING.get(settings)));
    }

    private final class Root extends BaseRestHandler {
        private final String nodeName;

        Root(String nodeName) {
            this.nodeName = nodeName;
        }

        @Override
        public String getName() {
            return "main_action";
        }

        @Override
        public List<Route> routes() {
            return List.of(new Route(RestRequest.Method.GET, "/"), new Route(RestRequest.Method.HEAD, "/"));
        }

        @Override
        protected RestChannelConsumer prepareRequest(RestRequest request, NodeClient client) {
            return channel -> {
                XContentBuilder answer = channel.newBuilder().prettyPrint().startObject();
                answer.field("name", nodeName);
                answer.field("cluster_name", cluster.getClusterName().value());
                answer.field("cluster_uuid", cluster.state().metadata().clusterUUID());
                addVersion(answer);
                answer.field("tagline", "You Know, for Search");
                channel.sendResponse(new RestResponse(RestStatus.OK, answer.endObject()));
            };
        }

        private static void addVersion(XContentBuilder answer) throws IOException {
            Build build = Build.current();
            answer.startObject("version");
            answer.field("number", build.qualifiedVersion());
            answer.field("build_flavor", build.flavor());
            answer.field("build_type", build.type().displayName());
            answer.field("build_hash", build.hash());
            answer.field("build_date", build.date());
            answer.field("build_snapshot", build.isSnapshot());
            answer.field("lucene_version", Version.LATEST.toString());
            answer.field("minimum_wire_compatibility_version", build.minWireCompatVersion());
            answer.field("minimum_index_compatibility_version", build.minIndexCompatVersion());
            answer.endObject();
        }
    }

    @Override
    public Map<String, AnalysisProvider<TokenFilterFactory>> getTokenFilters() {
        return Map.of(
            "pattern_capture", AnalysisPlugin.requiresAnalysisSettings(
                (index, environment, name, settings) -> new PatternCapture(name, settings)),
            "unique", (index, environment, name, settings) -> new UniqueFactory(name, settings));
    }

    @Override
    public Map<String, AnalysisProvider<TokenizerFactory>> getTokenizers() {
        return Map.of("uax_url_email", (index, environment, name, settings) -> new UrlsAndEmails(index, name, settings));
    }

    private static final class PatternCapture extends AbstractTokenFilterFactory {
        private final Pattern[] patterns;
        private final boolean preserveOriginal;

        PatternCapture(String name, Settings settings) {
            super(name, settings);
            patterns = settings.getAsList("patterns").stream().map(Pattern::compile).toArray(Pattern[]::new);
            preserveOriginal = settings.getAsBoolean("preserve_original", true);
        }

        @Override
        public TokenStream create(TokenStream tokens) {
            return new PatternCaptureGroupTokenFilter(tokens, preserveOriginal, patterns);
        }
    }

    private static final class UniqueFactory extends AbstractTokenFilterFactory {
        UniqueFactory(String name, Settings settings) {
            super(name, settings);
        }

        @Override
        public TokenStream create(TokenStream tokens) {
            return new Unique(tokens);
        }
    }

    /** Lets every word through once. */
    private static final class Unique extends FilteringTokenFilter {
        private final CharTermAttribute word = addAttribute(CharTermAttribute.class);
        private final Set<String> seen = new HashSet<>();

        Unique(TokenStream tokens) {
            super(tokens);
        }

        @Override
        protected boolean accept() {
            return seen.add(word.toString());
        }

        @Override
        public void reset() throws IOException {
            super.reset();
            seen.clear();
        }
    }

    private static final class UrlsAndEmails extends AbstractTokenizerFactory {
        UrlsAndEmails(IndexSettings index, String name, Settings settings) {
            super(index, settings, name);
        }

        @Override
        public Tokenizer create() {
            return new UAX29URLEmailTokenizer();
        }
    }
}
