package org.elasticsearch.plugins; // LoadedPlugin and loadPlugin are private to it

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.net.URI;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.elasticsearch.Build;
import org.elasticsearch.common.settings.Settings;
import org.elasticsearch.node.SecurityAnalysis;
import org.elasticsearch.transport.netty4.Netty4Plugin;

/** The transport from the class path, and both plugins of security: each from a folder beside it, by its own loader. */
public class ClassPathPlugins extends PluginsService {
    private static final ClassLoader OWN = ClassPathPlugins.class.getClassLoader();
    private List<LoadedPlugin> loaded;

    public ClassPathPlugins(Settings settings, Path config, PluginsLoader loader) {
        super(settings, config, loader);
        try {
            ClassLoader core = jars("core", OWN);
            ClassLoader security = jars("security", new Classes(core));
            loaded = List.of(
                load(OWN, Netty4Plugin.class.getName(), settings, config),
                load(OWN, SecurityAnalysis.class.getName(), settings, config),
                load(core, "org.elasticsearch.xpack.core.XPackPlugin", settings, config),
                load(security, "org.elasticsearch.xpack.security.Security", settings, config));
        } catch (Exception error) {
            throw new IllegalStateException(error);
        }
        for (LoadedPlugin each : loaded) {
            if (each.instance() instanceof ExtensiblePlugin extensible) {
                extensible.loadExtensions(new NoExtensions());
            }
        }
    }

    @Override
    protected List<LoadedPlugin> plugins() {
        return loaded == null ? List.of() : loaded; // the constructor above asks too
    }

    private LoadedPlugin load(ClassLoader from, String name, Settings settings, Path config) throws Exception {
        Plugin plugin = loadPlugin(from.loadClass(name).asSubclass(Plugin.class), settings, config);
        return new LoadedPlugin(descriptor(name), plugin, from);
    }

    /** As a file, since its constructor differs from version to version. */
    private static PluginDescriptor descriptor(String name) throws IOException {
        String text = String.join("\n", "name=" + name, "classname=" + name, "description=from the class path",
            "version=1", "java.version=17", "elasticsearch.version=" + Build.current().version());
        return PluginDescriptor.readInternalDescriptorFromStream(
            new ByteArrayInputStream(text.getBytes(StandardCharsets.UTF_8)));
    }

    private static ClassLoader jars(String folder, ClassLoader parent) throws Exception {
        URI classes = ClassPathPlugins.class.getProtectionDomain().getCodeSource().getLocation().toURI();
        List<URL> urls = new ArrayList<>();
        try (DirectoryStream<Path> files = Files.newDirectoryStream(Path.of(classes).resolveSibling(folder))) {
            for (Path jar : files) {
                urls.add(jar.toUri().toURL());
            }
        }
        return new URLClassLoader(urls.toArray(URL[]::new), parent);
    }

    /** Another loader's classes, but not its lists of extensions, which would be taken for those of who sees it. */
    private static class Classes extends ClassLoader {
        private final ClassLoader other;

        Classes(ClassLoader other) {
            super(OWN);
            this.other = other;
        }

        @Override
        protected Class<?> findClass(String name) throws ClassNotFoundException {
            return other.loadClass(name);
        }
    }

    private static class NoExtensions implements ExtensiblePlugin.ExtensionLoader {
        @Override
        public <T> List<T> loadExtensions(Class<T> type) {
            return List.of();
        }
    }
}
