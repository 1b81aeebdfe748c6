package org.opensaml.core.xml;

/** A stand-in: the types of SAML actions, which nobody calls here, must be there to be looked at. */
public interface XMLObject {}
