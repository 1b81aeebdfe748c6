package org.opensaml.security.x509;

/** A stand-in: the types of SAML actions, which nobody calls here, must be there to be looked at. */
public interface X509Credential {}
