package org.opensaml.saml.saml2.core;

/** A stand-in: the types of SAML actions, which nobody calls here, must be there to be looked at. */
public interface RequestAbstractType extends org.opensaml.core.xml.XMLObject {}
