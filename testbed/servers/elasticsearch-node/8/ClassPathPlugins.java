package org.elasticsearch.plugins; // LoadedPlugin and loadPlugin are private to it

import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.elasticsearch.common.settings.Settings;
import org.elasticsearch.jdk.ModuleQualifiedExportsService;
import org.elasticsearch.transport.netty4.Netty4Plugin;

/** One plugin from the class path: the transport that speaks HTTP. */
public class ClassPathPlugins extends PluginsService {
    private List<LoadedPlugin> loaded;

    public ClassPathPlugins(Settings settings, Path config) {
        super(settings, config, null, null);
        PluginDescriptor descriptor = new PluginDescriptor("transport-netty4", "speaks HTTP", "1", "1", "1",
            Netty4Plugin.class.getName(), null, List.of(), false, false, false, false);
        Plugin netty = loadPlugin(Netty4Plugin.class, settings, config);
        loaded = List.of(new LoadedPlugin(descriptor, netty));
    }

    @Override
    protected List<LoadedPlugin> plugins() {
        return loaded == null ? List.of() : loaded; // the constructor above asks too
    }

    @Override
    protected void addServerExportsService(Map<String, List<ModuleQualifiedExportsService>> services) {
        // The node runs from a class path: there is no module whose packages could be opened.
    }
}
